import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientStage, type Generation, generations } from '../clients/table.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { always, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { openFds } from '../kit/open-fds.ts';
import { until } from '../kit/until.ts';

let stage: ClientStage;
before(async () => {
  stage = await ClientStage.open();
});
after(() => stage[Symbol.asyncDispose]());

for (const generation of Object.keys(generations) as Generation[]) {
  describe(`ctr ${generation}, killed in the middle of`, () => {
    /** ctr as a process of its own, with pipes. */
    const start = (...args: string[]): ChildProcess => {
      const { address, dir } = stage.daemon;
      return spawn(generations[generation], ['-a', address, '-n', generation, ...args], {
        stdio: ['pipe', 'pipe', 'ignore'],
        cwd: dir,
      });
    };
    const kill = async (child: ChildProcess): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    };
    const shown = async (line: string): Promise<string> => (await stage.line(generation, line)).shown;
    const fifos = (): string => join(stage.daemon.dir, 'fifos');

    before(() => stage.line(generation, '$C images pull --plain-http $IMG'));

    /** The daemon is the same, answers, and gives back what the dead client held. */
    async function unharmed(act: () => Promise<void>): Promise<void> {
      const { daemon } = stage;
      const { pid } = daemon;
      await shown('$C version');
      const before = openFds(pid);
      await act();
      await until(() => openFds(pid) <= before, 'descriptors to be given back');
      assert.match(await shown('$C version'), /2\.3\.4/);
      assert.equal(daemon.pid, pid);
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
    }

    test('an event stream', () =>
      unharmed(async () => {
        const clients = Array.from({ length: 5 }, () => start('events'));
        await sleep(300);
        await shown('$C images tag --force $IMG e.io/x:1');
        await Promise.all(clients.map(kill));
        await shown('$C images rm e.io/x:1');
      }));

    test('a write: the ingest is free for the next one, who completes it', () =>
      unharmed(async () => {
        const client = start('content', 'ingest', 'half');
        client.stdin?.write('hello');
        await sleep(300);
        await kill(client);
        await until(async () => {
          const { status } = await stage.line(
            generation,
            'echo hello > whole; $C content ingest half < whole',
          );
          return status === 0;
        }, 'the ingest to be unlocked');
        assert.equal(await shown('$C content active | grep -c half'), '0');
      }));

    test('a pull, which another then completes', () =>
      unharmed(async () => {
        await using registry = await FlakyRegistry.start();
        registry.addImage('slow', 'x', [tarOf({ a: 'a'.repeat(100_000) }), tarOf({ generation })]);
        let asked = false;
        registry.scripts.push(
          always(/^GET .*\/blobs\//, () => {
            asked = true;
          }),
        );
        const reference = `${registry.host}/slow:x`;
        const client = start('images', 'pull', '--plain-http', reference);
        await until(() => asked, 'a layer to be asked for');
        await kill(client);
        registry.scripts.length = 0;
        await until(async () => {
          const { status } = await stage.line(generation, `$C images pull --plain-http ${reference}`);
          return status === 0;
        }, 'it to be pulled');
        assert.match(await shown(`$C images check name==${reference} | tail -1`), /complete .* true$/);
        await shown(`$C images rm --sync ${reference}`);
      }));

    test('a run in the foreground: the container goes on and can be ended by others', () =>
      unharmed(async () => {
        const image = stage.image;
        const client = start(
          'run',
          '--fifo-dir',
          fifos(),
          image,
          'orphan',
          'sh',
          '-c',
          'while :; do sleep 0.05; done',
        );
        await until(async () => (await shown('$C task ls')).includes('RUNNING'), 'it to run');
        await kill(client);
        assert.match(await shown('$C task ls'), /orphan \d+ RUNNING/);
        await shown('$C task kill -s KILL orphan; sleep 0.2; $C task rm orphan; $C c rm orphan');
        assert.equal(await shown('$C c ls -q; $C task ls -q'), '');
      }));

    test('an exec: the container goes on, and so can the next exec', () =>
      unharmed(async () => {
        await shown('$C run -d --null-io $IMG host sleep 100');
        const client = start(
          'task',
          'exec',
          '--fifo-dir',
          fifos(),
          '--exec-id',
          'e1',
          'host',
          'sh',
          '-c',
          'while :; do echo y; done',
        );
        await once(client.stdout ?? client, 'data');
        await kill(client);
        assert.equal(await shown('$C task exec --exec-id e2 host echo next'), 'next');
        await shown('$C task kill -a -s KILL host; sleep 0.3; $C task rm -f host; $C c rm host');
        assert.equal(await shown('$C c ls -q; $C task ls -q'), '');
      }));

    test('reading a blob and listing, many at once', () =>
      unharmed(async () => {
        const digest = (await shown('$C content ls -q')).split('\n').at(-1) ?? '';
        const clients = Array.from({ length: 10 }, (_, i) =>
          start(...(i % 2 === 0 ? ['content', 'get', digest] : ['content', 'ls'])),
        );
        await sleep(30);
        await Promise.all(clients.map(kill));
      }));
  });
}
