import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, type BerthClient, connect } from '../../src/client/index.ts';
import { OptionsSchema } from '../../src/gen/containerd/runc/v1/runc_pb.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { bin } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { run } from '../kit/run.ts';
import { patienceMs, until } from '../kit/until.ts';
import { Journal } from './journal.ts';
import { allViolations, bringToRest, settled } from './rest.ts';
import { shimPidOf } from './round.ts';
import { Sequence } from './sequence.ts';

let stages = 0;
let registry: TestRegistry;
let image: string;

before(async () => {
  registry = await TestRegistry.start();
  image = await registry.pushBusybox();
});
after(() => registry[Symbol.asyncDispose]());

/** A daemon with busybox pulled, and a client. */
async function openStage(): Promise<{ daemon: TestDaemon; client: BerthClient } & AsyncDisposable> {
  const daemon = await startDaemon();
  const namespace = `f${process.pid}-${stages++}`;
  const client = connect({ address: daemon.address, namespace, timeoutMs: patienceMs });
  await client.images.pull(image).image();
  const close = async () => {
    client.close();
    await daemon[Symbol.asyncDispose]();
    removeCgroups([namespace]);
  };
  return { daemon, client, [Symbol.asyncDispose]: close };
}

/** Nothing that was not wanted is left, and a container runs as ever. */
async function assertWhole(daemon: TestDaemon, client: BerthClient, kept = new Journal()): Promise<void> {
  assert.deepEqual(await bringToRest([client], kept), []);
  assert.deepEqual(await allViolations(daemon, [client.namespace]), []);
  assert.equal(await exitOf(client, 'exit 42'), 42);
}

/** Runs a shell line in a container of its own and removes that. */
async function exitOf(client: BerthClient, line: string, runtimeOptions?: Any): Promise<number> {
  const options = runtimeOptions === undefined ? {} : { runtimeOptions };
  const { id } = await client.containers.create({ image, args: ['sh', '-c', line], ...options });
  try {
    using task = await client.tasks.create(id);
    await task.start();
    return (await task.wait()).code;
  } finally {
    await client.containers.remove(id, { force: true });
  }
}

const ticking = 'i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done';

async function startDetached(client: BerthClient, line: string): Promise<{ id: string; pid: number }> {
  const { id, logUri } = await client.containers.create({ image, args: ['sh', '-c', line], logs: true });
  using task = await client.tasks.create(id, { logUri });
  return { id, pid: await task.start() };
}

test('an OCI runtime killed in the middle of create, start, kill or delete leaves nothing, and the next container runs', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  for (const command of ['create', 'start', 'delete']) {
    for (const delayMs of [0, 4, 8, 12, 16, 20, 26, 34, 45]) {
      const options = dyingRuntime(daemon.dir, command, delayMs);
      // It may also have ended before it was killed.
      await exitOf(client, 'exit 0', options).catch((error) => {
        assert.match(
          String(error),
          /OCI runtime \w+ failed|cannot start/,
          `${command} killed after ${delayMs} ms`,
        );
      });
    }
    await assertWhole(daemon, client);
  }
});

/** Options that name a runtime which is runc, but is killed `delayMs` after the first `command` began. */
function dyingRuntime(dir: string, command: string, delayMs: number): Any {
  const path = join(dir, `runc-${command}-${delayMs}`);
  const mark = `${path}.done`;
  const script = `#!/bin/sh
case " $* " in *" ${command} "*) [ -e ${mark} ] || {
  : > ${mark}
  runc "$@" <&0 & pid=$!
  sleep ${delayMs / 1000}
  kill -9 $pid $$
} ;; esac
exec runc "$@"
`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName: path }));
  return { typeUrl: OptionsSchema.typeName, value };
}

test('a daemon killed at any moment of its start starts the next time', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const { id, pid } = await startDetached(client, ticking);
  const args = ['--root', daemon.root, '--state', daemon.state, '--address', daemon.address];
  await daemon.stop('SIGKILL');
  for (const delayMs of [20, 50, 80, 110, 140, 170, 200, 250, 300, 400, 600]) {
    await run('timeout', ['-s', 'KILL', String(delayMs / 1000), bin('berthd'), ...args]);
  }
  await daemon.start();
  assert.equal((await client.tasks.get(id)).pid, pid);
  await assertWhole(daemon, client, journalOf(client, id));
});

function journalOf({ namespace }: BerthClient, ...known: readonly string[]): Journal {
  const journal = new Journal();
  for (const id of known) journal.runners.set(id, { namespace, id, pid: 0, printsTo: 'log' });
  return journal;
}

test('a shim killed with -9 under running containers: its successor knows, feeds, signals and deletes them', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  await using sequence = await Sequence.start(client, image);
  const ticker = await startDetached(client, ticking);
  const ender = await startDetached(client, 'while [ ! -e /go ]; do usleep 10000; done; exit 43');
  const waiting = client.tasks.process(ender.id).wait();
  waiting.catch(() => {}); // What failed before is what to tell.
  const victim = await startDetached(client, 'exec sleep 1000');
  const gone = await startDetached(client, 'exec sleep 1000');
  const shim = await shimOf(daemon);
  process.kill(shim, 'SIGKILL');
  process.kill(gone.pid, 'SIGKILL');
  for (const { id, pid } of [ticker, ender, victim, sequence.runner]) {
    const state = await client.tasks.get(id);
    assert.deepEqual([state.status, state.pid], ['running', pid]);
  }
  assert.notEqual(await shimOf(daemon), shim);
  writeFileSync(`/proc/${ender.pid}/root/go`, '');
  assert.equal((await waiting).code, 43, 'I7: a wait survives the shim');
  assert.equal((await client.tasks.get(ender.id)).exitCode, 43);
  await client.tasks.process(victim.id).kill(15);
  await client.tasks
    .process(victim.id)
    .kill(9)
    .catch(() => {});
  assert.equal((await client.tasks.process(victim.id).wait()).code, 137);
  // Who saw it die is gone: the code may be lost, the end may not.
  assert.ok([137, 255].includes((await client.tasks.process(gone.id).wait()).code));
  assert.equal(await execIn(client, ticker.id, 'exit 7'), 7);
  assert.deepEqual(
    await settled(() => logProblems(join(daemon.root, 'logs', client.namespace, ticker.id, 'log'))),
    [],
  );
  assert.deepEqual(sequence.violations(), []);
  for (const { id } of [ender, victim, gone]) await client.containers.remove(id);
  await assertWhole(daemon, client, journalOf(client, ticker.id, sequence.id));
});

async function execIn(client: BerthClient, id: string, line: string): Promise<number> {
  using process = await client.tasks.exec(id, { args: ['sh', '-c', line] });
  await process.start();
  const { code } = await process.wait();
  await process.delete();
  return code;
}

/** A log of 0, 1, 2, … that has gone on for two seconds' worth. */
function logProblems(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  const wrong = lines.findIndex((line, i) => line.split(' ')[3] !== String(i));
  if (wrong !== -1) return [`I6: line ${wrong} is ${lines[wrong]}`];
  return lines.length > 100 ? [] : [`I6: only ${lines.length} lines`];
}

/** The shim, once it is up. */
async function shimOf(daemon: TestDaemon): Promise<number> {
  await until(() => shimPidOf(daemon) !== undefined, 'a shim');
  return shimPidOf(daemon) ?? assert.fail('no shim runs');
}

test('what ends while no daemon is there keeps its code and its log, and goes by itself when asked to', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const kept = await startDetached(client, 'sleep 0.4; seq 1 1000; exit 9');
  const { id } = await client.containers.create({ image, args: ['sleep', '0.4'], autoRemove: true });
  using task = await client.tasks.create(id);
  await task.start();
  await daemon.stop('SIGKILL');
  await sleep(700);
  await daemon.start();
  assert.equal((await client.tasks.process(kept.id).wait()).code, 9);
  const lines: string[] = [];
  for await (const { data } of client.containers.logs(kept.id)) lines.push(Buffer.from(data).toString());
  assert.deepEqual(
    lines,
    Array.from({ length: 1000 }, (_, i) => String(i + 1)),
  );
  const isHere = async () => (await client.containers.list([`id==${id}`])).map(() => 'still here');
  assert.deepEqual(await settled(isHere), []);
  await client.containers.remove(kept.id);
  await assertWhole(daemon, client);
});

test('a shim killed with -9 in the middle of create, start, exec and delete leaves what can be removed', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  for (const delayMs of [5, 15, 25, 35, 50, 70, 90, 120]) {
    const running = Promise.allSettled([exitOf(client, 'exit 3'), exitOf(client, 'sleep 0.05; exit 4')]);
    await sleep(delayMs);
    process.kill(await shimOf(daemon), 'SIGKILL');
    for (const result of await running)
      assert.ok(
        result.status === 'rejected' || [3, 4, 255].includes(result.value),
        `${delayMs} ms: ${result.status}`,
      );
  }
  await assertWhole(daemon, client);
});

test('a client that goes away in the middle of create leaves what can be removed', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  for (const delayMs of [2, 6, 10, 15, 20, 30]) {
    const { id } = await client.containers.create({ image, args: ['sleep', '1000'] });
    const signal = AbortSignal.timeout(delayMs);
    await client.tasks.create(id, { signal }).then(
      (task) => task[Symbol.dispose](),
      () => {},
    );
    await sleep(300);
    await client.containers.remove(id, { force: true });
  }
  await assertWhole(daemon, client);
});
