import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { commandOf, processesOf, startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { ctr2, shim1, shim2 } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { type RunResult, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { makeRootfs } from './harness.ts';

let daemon: TestDaemon;
let client: BerthClient;
const namespace = `foreign${process.pid}`;
const topics: string[] = [];
/** Told by a test, to see whether events come. */
const mark = '/test/mark';
let followed = 0;

before(async () => {
  daemon = await startDaemon();
  makeRootfs(join(daemon.dir, 'r'));
  await follow();
});
after(async () => {
  client.close();
  followed += 1;
  await daemon[Symbol.asyncDispose]();
  removeCgroups([namespace]);
});

/** Connects to the daemon, anew after it was killed, and notes what events it tells of tasks from now on. */
async function follow(): Promise<void> {
  client?.close();
  client = connect({ address: daemon.address, namespace });
  const [own, turn] = [client, ++followed];
  const filters = ['topic~=/tasks/', `topic=="${mark}"`];
  let isTold = false;
  const note = async () => {
    for await (const { topic, event } of own.events.subscribe({ filters }))
      if (topic === mark) isTold = true;
      else topics.push(`${topic} ${/[a-z0-9]+/.exec(Buffer.from(event.value).toString())?.[0]}`);
  };
  void (async () => {
    for (; turn === followed; await sleep(50)) await note().catch(() => {});
  })();
  await until(async () => {
    await own.events.publish(mark, { typeUrl: 'x', value: new Uint8Array() });
    return isTold;
  }, 'events of the daemon');
}

/** Runs ctr with a line of arguments. */
const ctr = (line: string): Promise<RunResult> =>
  run('bash', ['-c', `${ctr2} -a ${daemon.address} -n ${namespace} ${line}`], { timeoutMs: 40_000 });

async function shown(line: string): Promise<string> {
  const { status, stdout, stderr } = await ctr(line);
  assert.equal(status, 0, `${line}: ${stderr}`);
  return stdout.replaceAll(/[ \t]+/g, ' ').trim();
}

const start = (shim: string, id: string, command: string, flags = '') =>
  shown(
    `run -d ${flags} ${shim === '' ? '' : `--runtime ${shim}`} --rootfs ${daemon.dir}/r ${id} ${command}`,
  );
const remove = (id: string) =>
  shown(`task kill -s KILL ${id}; sleep 0.1; ${ctrOf()} task rm -f ${id}; ${ctrOf()} c rm ${id}`);
const ctrOf = () => `${ctr2} -a ${daemon.address} -n ${namespace}`;

const bundles = (): string[] => {
  const dir = join(daemon.state, 'io.containerd.runtime.v2.task', namespace);
  return existsSync(dir) ? readdirSync(dir) : [];
};
const shimPids = (id: string): number[] =>
  processesOf(daemon.dir).filter((pid) => new RegExp(`shim-runc-v2 .*-id ${id} `).test(`${commandOf(pid)} `));

for (const [generation, shim] of Object.entries({ '1.6.20': shim1, '2.3.4': shim2 })) {
  const name = (id: string) => `${id}${generation[0]}`;
  describe(`containerd-shim-runc-v2 of ${generation} as runtime`, () => {
    test('a task runs: output, errors, exit status; its events come in order; nothing is left', async () => {
      const id = name('once');
      const line = `run --rm --runtime ${shim} --rootfs ${daemon.dir}/r ${id} /bin/sh -c 'echo out; echo err >&2; exit 7'`;
      const { status, stdout, stderr } = await ctr(line);
      assert.deepEqual([status, stdout, stderr.includes('err')], [7, 'out\n', true]);
      const own = () => topics.filter((line) => line.endsWith(` ${id}`)).map((line) => line.split(' ')[0]);
      await until(
        () => own().length >= 4,
        () => `four events: there are ${topics.join(', ')}`,
      );
      // A shim of 2.3.4 has whoever waits know of an exit before it tells the event: that of the delete may overtake it.
      assert.deepEqual(own().slice(0, 2), ['/tasks/create', '/tasks/start']);
      assert.deepEqual(own().slice(2).sort(), ['/tasks/delete', '/tasks/exit']);
      assert.deepEqual(bundles(), []);
      await until(() => shimPids(id).length === 0, 'the end of the shim');
    });

    test('exec, terminal, pause and resume, pids, metrics, kill', async () => {
      const id = name('all');
      await start(shim, id, '/bin/sleep 1000');
      assert.equal(await shown(`task exec --exec-id e ${id} /bin/echo in`), 'in');
      const tty = await run('script', [
        '-qec',
        `${ctrOf()} task exec -t --exec-id t ${id} /bin/tty`,
        '/dev/null',
      ]);
      assert.match(tty.stdout, /\/dev\/pts\/\d/);
      await shown(`task pause ${id}`);
      assert.match(await shown('task ls'), new RegExp(`${id} \\d+ PAUSED`));
      await shown(`task resume ${id}`);
      assert.match(await shown(`task ps ${id}`), /^PID INFO\n\d+ -/);
      assert.match(await shown(`task metrics ${id}`), /memory\.usage/i);
      await shown(`task kill -s KILL ${id}`);
      assert.equal((await client.tasks.process(id).wait()).code, 137);
      await remove(id);
    });

    test('what the OCI runtime refuses comes in its own words, and leaves nothing', async () => {
      const id = name('bad');
      const { status, stderr } = await ctr(`run --rm --runtime ${shim} --rootfs ${daemon.dir}/r ${id} /nope`);
      assert.notEqual(status, 0);
      assert.match(stderr, /failed to create shim task: .*"\/nope"/);
      assert.deepEqual(bundles(), []);
      await until(() => shimPids(id).length === 0, 'the end of the shim');
    });

    test('a group shares one shim, and one of it may end without the others', async () => {
      const [a, b] = [name('ga'), name('gb')];
      const group = `--annotation io.containerd.runc.v2.group=${name('pod')}`;
      await start(shim, a, '/bin/sleep 1000', group);
      await start(shim, b, '/bin/sleep 1000', group);
      assert.equal(shimPids(a).length + shimPids(b).length, 1);
      await remove(b);
      assert.equal(await shown(`task exec --exec-id e ${a} /bin/echo still`), 'still');
      await remove(a);
      await until(() => shimPids(a).length === 0, 'the end of the shim');
    });

    test('a daemon killed and started again finds it: what ended meanwhile is told exactly', async () => {
      const [stays, ends] = [name('stays'), name('ends')];
      await start(shim, stays, '/bin/sleep 1000');
      await start(shim, ends, `/bin/sh -c 'while [ ! -e /tmp/${ends} ]; do /bin/sleep 0.05; done; exit 9'`);
      await daemon.stop('SIGKILL');
      await run('touch', [join(daemon.dir, 'r/tmp', ends)]);
      await daemon.start();
      await follow();
      assert.match(await shown('task ls'), new RegExp(`${stays} \\d+ RUNNING`));
      assert.equal((await client.tasks.process(ends).wait()).code, 9);
      assert.equal(await shown(`task exec --exec-id e ${stays} /bin/echo on`), 'on');
      for (const id of [stays, ends]) await remove(id);
    });

    test('a shim killed with -9 takes its task along: 137 for who waits, exit and delete as events, nothing left', async () => {
      const [id, neighbour] = [name('dies'), name('lives')];
      await start(shim, id, '/bin/sleep 1000');
      await start(shim, neighbour, '/bin/sleep 1000');
      const waiting = client.tasks.process(id).wait();
      for (const pid of shimPids(id)) process.kill(pid, 'SIGKILL');
      assert.equal((await waiting).code, 137);
      await until(() => topics.includes(`/tasks/delete ${id}`), 'the event');
      assert.equal(topics.filter((line) => line === `/tasks/exit ${id}`).length, 1);
      await until(() => !bundles().includes(id), 'the bundle to go');
      assert.match(await shown('task ls'), new RegExp(`${neighbour} \\d+ RUNNING`));
      await shown(`c rm ${id}`);
      await remove(neighbour);
    });

    test('a shim that hangs delays no other task, nor the start of the daemon', async () => {
      const [hangs, lives] = [name('hangs'), name('quick')];
      await start(shim, hangs, '/bin/sleep 1000');
      await start('', lives, '/bin/sleep 1000');
      const [pid = 0] = shimPids(hangs);
      process.kill(pid, 'SIGSTOP');
      for (const restart of [false, true]) {
        if (restart) await daemon.restart('SIGKILL');
        if (restart) await follow();
        const before = performance.now();
        assert.match(await shown('task ls'), new RegExp(`${lives} \\d+ RUNNING`));
        assert.match(await shown('task ls'), new RegExp(`${hangs} \\d+ UNKNOWN`));
        assert.ok(performance.now() - before < 8_000);
        assert.equal(await shown(`task exec --exec-id e ${lives} /bin/echo fast`), 'fast');
      }
      process.kill(pid, 'SIGCONT');
      await until(
        async () => /RUNNING/.test(await shown(`task ls | grep ${hangs}`)),
        'the shim to answer again',
      );
      for (const id of [hangs, lives]) await remove(id);
    });
  });
}

test('detached containers of berth have logs, streams apart, whosever shim runs them', async () => {
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  await client.images.pull(image).image();
  for (const runtime of [shim1, shim2]) {
    const args = ['sh', '-c', 'echo out; echo err >&2; exec sleep 1000'];
    const { id, logUri } = await client.containers.create({ image, args, logs: true, runtime });
    using task = await client.tasks.create(id, { logUri });
    await task.start();
    const log = join(daemon.root, 'logs', namespace, id, 'log');
    const lines = () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []);
    await until(() => lines().length === 2, 'two lines');
    assert.deepEqual(
      lines()
        .map((line) => line.split(' ').slice(1).join(' '))
        .sort(),
      ['stderr F err', 'stdout F out'],
    );
    await client.containers.remove(id, { force: true });
  }
  await until(
    () => !processesOf(daemon.dir).some((pid) => commandOf(pid).includes('log-program')),
    'the end of the loggers',
  );
});

test('a shim by name is one of the search path; one that is not there is said in containerd’s words', async () => {
  const { stderr } = await ctr(`run --rm --runtime io.containerd.nope.v9 --rootfs ${daemon.dir}/r x true`);
  assert.match(stderr, /binary not installed "containerd-shim-nope-v9"/);
});

test('a shim tells of itself what ctr shows of a runtime', async () => {
  const info = JSON.parse(await shown(`plugins inspect-runtime --runtime ${shim2}`));
  assert.equal(info.Name, 'io.containerd.runc.v2');
  assert.match(info.Version.Version, /2\.\d/);
});

test('events come from shims that know only `publish` too', async () => {
  const publish = join(import.meta.dirname, '../../bin/berthd');
  const any = Buffer.from('\x0a\x0bexample.One\x12\x03\x0a\x01z', 'latin1').toString();
  const args = ['--address', daemon.address, 'publish', '--topic', '/tasks/odd', '--namespace', namespace];
  assert.equal((await run(publish, args, { input: any })).status, 0);
  await until(() => topics.includes('/tasks/odd z'), 'the event');
  const { status, stderr } = await run(publish, args, { input: '\xff\xff' });
  assert.equal(status, 1);
  assert.match(stderr, /event is no protobuf Any/);
});

test('nothing is left of any shim', () => {
  assert.deepEqual(bundles(), []);
  const left = processesOf(daemon.dir).map(commandOf);
  assert.deepEqual(
    left.filter((command) => !/berthd|daemon\/main|berth-shim|^sleep 2147483647/.test(command)),
    [],
  );
  assert.doesNotMatch(readFileSync(daemon.logFile, 'utf8'), /task of a dead shim is left/);
});
