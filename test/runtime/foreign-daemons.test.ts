import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestContainerd } from '../kit/containerd.ts';
import { commandOf, processesOf } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { bin } from '../kit/paths.ts';
import { type RunResult, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { makeRootfs } from './harness.ts';

const launcher = bin('containerd-shim-berth-v2');

for (const generation of ['1.6', '2.3'] as const) {
  describe(`berth-shim under containerd ${generation}`, () => {
    const namespace = `under${process.pid}-${generation[0]}`;
    let daemon: TestContainerd;
    let rootfs: string;

    before(async () => {
      daemon = await new TestContainerd(generation).start();
      rootfs = join(daemon.dir, 'r');
      makeRootfs(rootfs);
    });
    after(async () => {
      await daemon[Symbol.asyncDispose]();
      removeCgroups([namespace]);
    });

    const line = (words: string): string => `${daemon.ctr} -a ${daemon.address} -n ${namespace} ${words}`;
    const ctr = (words: string): Promise<RunResult> =>
      run('bash', ['-c', line(words)], { timeoutMs: 40_000 });
    const shown = async (words: string): Promise<string> => {
      const { status, stdout, stderr } = await ctr(words);
      assert.equal(status, 0, `${words}: ${stderr}`);
      return stdout.replaceAll(/[ \t]+/g, ' ').trim();
    };
    const start = (id: string, command: string, flags = '') =>
      shown(`run -d ${flags} --runtime ${launcher} --rootfs ${rootfs} ${id} ${command}`);
    const remove = async (id: string) => {
      await ctr(`task kill -s KILL ${id}`);
      await until(async () => (await ctr(`task rm ${id}`)).status === 0, `the end of ${id}`);
      await shown(`c rm ${id}`);
    };
    const shims = (): number[] =>
      processesOf(daemon.dir).filter((pid) => /^berth-shim /.test(commandOf(pid)));
    const bundles = (): string[] => {
      const dir = join(daemon.state, 'io.containerd.runtime.v2.task', namespace);
      return existsSync(dir) ? readdirSync(dir) : [];
    };

    test('a task runs: output, errors, exit status; nothing is left', async () => {
      const { status, stdout, stderr } = await ctr(
        `run --rm --runtime ${launcher} --rootfs ${rootfs} once /bin/sh -c 'echo out; echo err >&2; exit 7'`,
      );
      assert.deepEqual([status, stdout, stderr.includes('err')], [7, 'out\n', true]);
      assert.deepEqual(bundles(), []);
    });

    test('terminal, exec, pause and resume, pids, metrics, kill', async () => {
      const terminal = line(`run --rm -t --runtime ${launcher} --rootfs ${rootfs} tty /bin/tty`);
      assert.match((await run('script', ['-qec', terminal, '/dev/null'])).stdout, /\/dev\/(pts\/\d|console)/);
      await start('all', '/bin/sleep 1000');
      assert.equal(await shown('task exec --exec-id e all /bin/echo in'), 'in');
      await shown('task pause all');
      assert.match(await shown('task ls'), /all \d+ PAUSED/);
      await shown('task resume all');
      assert.match(await shown('task ps all'), /^PID INFO\n\d+ -/);
      assert.match(await shown('task metrics all'), /memory\.usage/i);
      await remove('all');
    });

    test('two tasks and a group share the one shim; one may end without the others', async () => {
      const group = generation === '1.6' ? '' : '--annotation io.containerd.runc.v2.group=pod';
      for (const id of ['a', 'b']) await start(id, '/bin/sleep 1000', group);
      await start('c', '/bin/sleep 1000');
      assert.equal(shims().length, 1);
      await remove('b');
      assert.equal(await shown('task exec --exec-id e a /bin/echo still'), 'still');
      for (const id of ['a', 'c']) await remove(id);
    });

    test('what the OCI runtime refuses comes in its own words, and leaves nothing', async () => {
      const { status, stderr } = await ctr(`run --rm --runtime ${launcher} --rootfs ${rootfs} bad /nope`);
      assert.notEqual(status, 0);
      assert.match(stderr, /OCI runtime create failed: .*"\/nope"/);
      assert.deepEqual(bundles(), []);
    });

    test('containerd killed with -9 and started again finds its tasks, and hears of the exits of those that end then', async () => {
      await start('stays', '/bin/sleep 1000');
      await start('ends', `/bin/sh -c 'while [ ! -e /tmp/ends ]; do /bin/sleep 0.05; done; exit 9'`);
      await daemon.stop('SIGKILL');
      await until(() => shims().length === 1, 'the shim');
      await daemon.start();
      assert.match(await shown('task ls'), /stays \d+ RUNNING/);
      assert.equal(await shown('task exec --exec-id e stays /bin/echo on'), 'on');
      // Not before: a task without processes is a "leaked shim" to a containerd that starts.
      mkdirSync(join(rootfs, 'tmp/ends'));
      await until(async () => /ends \d+ STOPPED/.test(await shown('task ls')), 'the exit');
      assert.match((await ctr('task rm ends')).stderr, /non-zero exit code 9/);
      await shown('c rm ends');
      await remove('stays');
    });

    test('events come in order', async () => {
      const events = spawn(daemon.ctr, ['-a', daemon.address, '-n', namespace, 'events']);
      let seen = '';
      events.stdout.on('data', (chunk: Buffer) => {
        seen += chunk;
      });
      await until(async () => {
        await ctr(`run --rm --runtime ${launcher} --rootfs ${rootfs} told${seen.length} /bin/true`);
        return /\/tasks\/delete/.test(seen);
      }, 'a whole life');
      events.kill('SIGKILL');
      const id = /\/tasks\/delete .*?"container_id":"(\w+)"/.exec(seen)?.[1];
      const topics = seen.split('\n').filter((line) => line.includes(`"container_id":"${id}"`));
      const life = topics.map((line) => / (\/tasks\/\S+)/.exec(line)?.[1]).filter(Boolean);
      assert.deepEqual(life.slice(-4), ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
    });

    test('a shim killed with -9: containerd has its program remove what was left', async () => {
      await start('dies', '/bin/sleep 1000');
      for (const pid of shims()) process.kill(pid, 'SIGKILL');
      await until(async () => !(await shown('task ls')).includes('dies'), 'containerd to notice');
      await until(() => !bundles().includes('dies'), 'the bundle to go');
      await until(() => !processesOf(rootfs).length, 'the process to end');
      await shown('c rm dies');
      await start('dies', '/bin/sleep 1000');
      await remove('dies');
    });

    test('without a task the shim ends by itself', async () => {
      assert.deepEqual(bundles(), []);
      for (let tries = 0; shims().length > 0 && tries < 2; tries++)
        await until(() => shims().length === 0, 'the end of the shim').catch(() => {});
      assert.deepEqual(shims(), []);
    });
  });
}

test('the launcher says its version, what runtime it is, and what it does not know', async () => {
  assert.match((await run(launcher, ['-v'])).stdout, /Version: +\d/);
  assert.match((await run(launcher, ['-info'], { input: '' })).stdout, /io\.containerd\.berth\.v2/);
  for (const [args, words] of [
    [['-nope', 'start'], /flag provided but not defined: -nope/],
    [['-namespace', 'n', '-id', 'i', 'dance'], /want start or delete/],
    [['start'], /-namespace and -id must be set/],
    [['-namespace', 'n', '-id', 'i', 'start'], /is no bundle in/],
  ] as const) {
    const { status, stderr } = await run(launcher, args, { input: '' });
    assert.equal(status, 1);
    assert.match(stderr, words);
  }
});
