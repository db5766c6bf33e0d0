import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import { Connection } from '../../src/client/connection.ts';
import { remoteContent } from '../../src/client/content.ts';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { proxyBlobs } from '../../src/content/proxy/proxy-blobs.ts';
import { Diff } from '../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import { Controller } from '../../src/gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { startDaemon, TestDaemon } from '../kit/daemon.ts';
import { digestOf } from '../kit/flaky-registry.ts';
import { ctr2 } from '../kit/paths.ts';
import { makeBusyboxLayout } from '../kit/registry.ts';
import { output } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { failureOf } from '../mounts/stage.ts';

/** Has the bytes of `daemon`, and makes and applies its layers. */
let other: TestDaemon;
let daemon: TestDaemon;
let sandboxer: ChildProcess;
let client: BerthClient;
let calls: string;

before(async () => {
  other = await startDaemon({ logLevel: 'trace' });
  daemon = new TestDaemon({
    config: [
      'version = 3',
      ...plugin('blobs', 'content', other.address),
      ...plugin('elsewhere', 'diff', other.address),
      ...plugin('pods', 'sandbox', join(other.dir, 'pods.sock')),
      '[plugins."io.containerd.service.v1.diff-service"]',
      'default = ["elsewhere", "walking"]',
    ].join('\n'),
  });
  calls = join(other.dir, 'calls');
  await startSandboxer();
  await daemon.start();
  client = connect({ address: daemon.address });
});
after(async () => {
  client?.close();
  sandboxer?.kill('SIGKILL');
  await daemon?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
});

const plugin = (name: string, type: string, address: string): string[] => [
  `[proxy_plugins.${name}]`,
  `type = "${type}"`,
  `address = "${address}"`,
];

async function startSandboxer(): Promise<void> {
  const socket = join(other.dir, 'pods.sock');
  const program = join(import.meta.dirname, 'sandboxer.ts');
  sandboxer = spawn(process.execPath, [program, socket, calls], { stdio: ['ignore', 'inherit', 'inherit'] });
  await until(() => existsSync(socket), 'the sandboxer');
}

const ctr = (...args: string[]) => output(ctr2, ['-a', daemon.address, ...args], { timeoutMs: 60_000 });
const own = async (): Promise<string[]> => {
  using there = new Connection({ address: other.address, namespace: 'default', timeoutMs: 10_000 });
  const found = await remoteContent(there).list(daemonContext(silentLog, 'default'));
  return found.map(({ digest }) => digest);
};

test('B-4: an image is imported, unpacked and run with all its bytes in another process', async () => {
  const layout = await makeBusyboxLayout(daemon.dir);
  const archive = join(daemon.dir, 'busybox.tar');
  await output('skopeo', ['copy', '-q', `oci:${layout}:busybox`, `oci-archive:${archive}:e.io/bb:1`]);
  await ctr('images', 'import', archive);
  const listed = (await ctr('content', 'ls', '-q')).trim().split('\n');
  assert.deepEqual((await own()).sort(), listed.sort());
  assert.ok(listed.length >= 3);
  assert.equal(existsSync(join(daemon.root, 'content/blobs')), false, 'nothing is kept here');
  assert.match(await ctr('run', '--rm', 'e.io/bb:1', 'c', 'echo', 'from elsewhere'), /^from elsewhere/);
  await ctr('images', 'rm', '--sync', 'e.io/bb:1');
  assert.deepEqual(await own(), [], 'what no record names goes there, too');
});

test('a restart finds the bytes there; without the other process calls fail by its name, and the daemon lives', async () => {
  const ctx = daemonContext(silentLog, 'default');
  const bytes = Buffer.from('kept elsewhere');
  await using writer = await client.content.writer(ctx, { ref: 'r' });
  await writer.write(bytes);
  const digest = await writer.commit({ labels: { 'containerd.io/gc.root': '1' } });
  await daemon.restart('SIGKILL');
  const read = async () => {
    await using reader = await client.content.reader(ctx, digest);
    return Buffer.from(await reader.bytes(100)).toString();
  };
  await until(async () => (await read().catch(() => '')) === 'kept elsewhere', 'the content');
  await other.stop('SIGKILL');
  assert.match(await failureOf(read()), /^unavailable \| .*content store blobs: (info|read): /);
  assert.equal((await client.content.info(ctx, digest)).sizeBytes, bytes.length, 'records are here');
  await daemon.restart('SIGKILL');
  await other.start();
  await until(async () => (await read().catch(() => '')) === 'kept elsewhere', 'the content again');
});

test('DF-4: layers are made and applied by the differ that is named first', async () => {
  const [left, right, to] = ['left', 'right', 'to'].map((name) => join(daemon.dir, name));
  for (const dir of [left, right, to]) mkdirSync(dir ?? '');
  await output('bash', ['-c', `echo new > ${right}/file`]);
  const bind = (source = '') => ({ type: 'bind', source, target: '', options: ['rbind'] });
  using channel = openChannel(daemon.address, { namespace: 'default' });
  const differ = createClient(Diff, channel);
  const labels = { 'containerd.io/gc.root': '1' };
  const { diff } = await differ.diff({ left: [bind(left)], right: [bind(right)], labels });
  assert.ok(diff);
  const { applied } = await differ.apply({ diff, mounts: [bind(to)] });
  assert.match(applied?.digest ?? '', /^sha256:/);
  assert.equal(readFileSync(join(to ?? '', 'file'), 'utf8'), 'new\n');
  for (const method of ['Diff/Diff', 'Diff/Apply'])
    await until(() => other.log().includes(method), `the other's line of ${method}`);
  const odd = { ...diff, mediaType: 'application/x-odd' };
  assert.match(
    await failureOf(differ.apply({ diff: odd, mounts: [bind(to)] })),
    /^(not_implemented|invalid_argument|failed_precondition) \| /,
  );
});

test('X-7: a sandboxer in another process is found by its name', async () => {
  using channel = openChannel(daemon.address, { namespace: 'default' });
  const controller = createClient(Controller, channel);
  const on = { sandboxId: 'p', sandboxer: 'pods' };
  const sandbox = { sandboxId: 'p', runtime: { name: 'r' }, labels: { l: 'x' } };
  await controller.create({ ...on, sandbox, netnsPath: '/ns', annotations: { a: 'b' } });
  const started = await controller.start(on);
  assert.deepEqual(
    [started.pid, started.address, started.version, { ...started.labels }],
    [sandboxer.pid, 'unix:///pod', 3, { l: 'v' }],
  );
  assert.equal((await controller.platform(on)).platform?.architecture, 'riscv64');
  const status = await controller.status({ ...on, verbose: true });
  assert.deepEqual(
    [status.state, status.createdAt?.seconds, { ...status.info }],
    ['running', 1n, { i: 'v' }],
  );
  assert.equal((await controller.metrics(on)).metrics?.data?.typeUrl, 'm');
  await controller.update({ ...on, sandbox, fields: ['labels'] });
  const waiting = controller.wait(on);
  await controller.stop({ ...on, timeoutSecs: 9 });
  assert.equal((await waiting).exitStatus, 3);
  await controller.shutdown(on);
  assert.match(await failureOf(controller.status(on)), /^not_found \| .*pod p: not found$/);
  const asked = ['create r /ns b', 'start', 'update x labels', 'stop 9', 'shutdown'].map(
    (call) => `${call} default/p`,
  );
  assert.deepEqual(readFileSync(calls, 'utf8').trim().split('\n'), asked);
  sandboxer.kill('SIGKILL');
  await once(sandboxer, 'exit');
  assert.match(await failureOf(controller.status(on)), /^unavailable/);
});

test('a content store that hangs costs its callers the deadline, each call alike', async () => {
  const socket = join(daemon.dir, 'hangs.sock');
  const accepted: Socket[] = [];
  const server = createServer((one) => void accepted.push(one)).listen(socket);
  await once(server, 'listening');
  using connection = new Connection({ address: socket, namespace: 'default', timeoutMs: 60_000 });
  const blobs = proxyBlobs({ name: 'h', store: remoteContent(connection), timeoutMs: 150, log: silentLog });
  const digest = digestOf(Buffer.from('x'));
  for (const call of [
    blobs.has(digest),
    blobs.open(digest),
    blobs.ingest('k'),
    blobs.delete(digest),
    Array.fromAsync(blobs.walk()),
  ])
    assert.match(
      await failureOf(call as Promise<unknown>),
      /^unavailable \| content store h: .* took longer than 150 ms$/,
    );
  for (const one of accepted) one.destroy();
  server.close();
});

test('plug-ins are listed with their types', async () => {
  const listed = await ctr('plugins', 'ls');
  for (const line of ['content.v1 +blobs', 'differ.v1 +elsewhere', 'sandbox.controller.v1 +pods'])
    assert.match(listed, new RegExp(`io\\.containerd\\.${line} .* ok`));
  assert.doesNotMatch(listed, /content\.v1 +content /);
});
