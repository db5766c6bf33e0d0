import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { commandOf, mountsBelow, processesOf, startDaemon, TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { bin } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { patienceMs, until } from '../kit/until.ts';

let registry: TestRegistry;
let image: string;
let stages = 0;

before(async () => {
  registry = await TestRegistry.start();
  image = await registry.pushBusybox();
});
after(() => registry[Symbol.asyncDispose]());

interface Stage extends AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly client: BerthClient;
}

async function openStage(): Promise<Stage> {
  const daemon = await startDaemon();
  const namespace = `death${process.pid}-${stages++}`;
  const client = connect({ address: daemon.address, namespace, timeoutMs: patienceMs });
  await client.images.pull(image).image();
  return {
    daemon,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await daemon[Symbol.asyncDispose]();
      removeCgroups([namespace]);
    },
  };
}

async function detached(client: BerthClient, line: string): Promise<string> {
  const { id, logUri } = await client.containers.create({ image, args: ['sh', '-c', line], logs: true });
  using task = await client.tasks.create(id, { logUri });
  await task.start();
  return id;
}

const shimsOf = ({ state }: TestDaemon): number[] =>
  processesOf(state).filter((pid) => commandOf(pid).startsWith('berth-shim'));

function killShim(daemon: TestDaemon): void {
  for (const pid of shimsOf(daemon)) process.kill(pid, 'SIGKILL');
}

/** Runs until a file appears in its root. */
const until7 = 'while [ ! -e /go ]; do sleep 0.05; done; exit 7';

async function letGo(daemon: TestDaemon, client: BerthClient, id: string): Promise<void> {
  const { pid } = await client.tasks.get(id);
  assert.equal(existsSync(daemon.state), true);
  writeFileSync(`/proc/${pid}/root/go`, '');
}

test('daemon and shim killed at once, in either order: the container notices nothing and its exit code is exact', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  for (const shimFirst of [true, false]) {
    const id = await detached(client, until7);
    const { pid } = await client.tasks.get(id);
    if (shimFirst) killShim(daemon);
    await daemon.stop('SIGKILL');
    if (!shimFirst) killShim(daemon);
    await daemon.start();
    const task = await client.tasks.get(id);
    assert.deepEqual([task.pid, task.status], [pid, 'running']);
    await letGo(daemon, client, id);
    assert.equal((await client.tasks.process(id).wait()).code, 7);
    await client.containers.remove(id, { force: true });
  }
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
});

test('a start that is killed at any step is followed by one that knows everything', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const id = await detached(client, 'sleep 1000');
  const { pid } = await client.tasks.get(id);
  for (const delayMs of [20, 80, 150, 300]) {
    await daemon.stop('SIGKILL');
    if (delayMs === 80) killShim(daemon);
    const starting = new TestDaemon({ dir: daemon.dir });
    const started = starting.start().catch(() => {});
    await sleep(delayMs);
    await starting.stop('SIGKILL');
    await started;
    await daemon.start();
    const task = await client.tasks.get(id);
    assert.deepEqual([task.pid, task.status], [pid, 'running'], `killed after ${delayMs} ms`);
  }
  await until(() => shimsOf(daemon).length === 1, 'one shim');
  await client.containers.remove(id, { force: true });
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
});

test('after a reboot tasks are gone, records say so, and the containers can be started again', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const id = await detached(client, 'echo first > /kept; sleep 1000');
  const { pid } = await client.tasks.get(id);
  await until(() => existsSync(`/proc/${pid}/root/kept`), 'the file');
  await daemon.stop('SIGKILL');
  killShim(daemon);
  process.kill(pid, 'SIGKILL');
  await until(() => !existsSync(`/proc/${pid}`), 'the end of the container');
  for (const point of mountsBelow(daemon.state)) await output('umount', ['-l', point]);
  rmSync(daemon.state, { recursive: true });
  await daemon.start();
  assert.deepEqual(await client.tasks.list(), []);
  const env = { BERTH_ADDRESS: daemon.address, BERTH_NAMESPACE: client.namespace };
  const listed = await run(bin('berth'), ['ps', '-a'], { env });
  assert.doesNotMatch(listed.stdout, /\bUp\b|running/i);
  assert.ok(listed.stdout.includes(id.slice(0, 12)), listed.stdout);
  using task = await client.tasks.create(id, { stdout: true });
  await task.start();
  assert.equal((await client.tasks.get(id)).status, 'running');
  const exec = await client.tasks.exec(id, { args: ['cat', '/kept'], stdout: true });
  await exec.start();
  assert.equal(await new Response(exec.stdout).text(), 'first\n');
  await client.containers.remove(id, { force: true });
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
});

test('a daemon started with other flags finds the tasks of the one before', async () => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const id = await detached(client, 'sleep 1000');
  await daemon.stop();
  const other = new TestDaemon({
    dir: daemon.dir,
    logLevel: 'warn',
    config: '[berth]\noci_runtime = "runc"\n',
  });
  await other.start();
  assert.equal((await client.tasks.get(id)).status, 'running');
  await client.containers.remove(id, { force: true });
  await other.stop();
});

test('a berth-shim that hangs does not keep the daemon from serving', async (t) => {
  await using stage = await openStage();
  const { daemon, client } = stage;
  const id = await detached(client, 'sleep 1000');
  const [shim = 0] = shimsOf(daemon);
  t.after(() => (existsSync(`/proc/${shim}`) ? process.kill(shim, 'SIGCONT') : undefined));
  process.kill(shim, 'SIGSTOP');
  await daemon.restart('SIGKILL');
  const beganMs = performance.now();
  await client.version();
  assert.equal((await client.containers.list()).length, 1);
  assert.equal((await client.tasks.list())[0]?.status, 'unknown');
  assert.ok(performance.now() - beganMs < 10_000);
  process.kill(shim, 'SIGCONT');
  await until(async () => (await client.tasks.list())[0]?.status === 'running', 'the shim to answer');
  await client.containers.remove(id, { force: true });
});
