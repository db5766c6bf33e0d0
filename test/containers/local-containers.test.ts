import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLog } from '../../src/async/context.ts';
import { keepHouse } from '../../src/containers/housekeeping.ts';
import type { RuntimeSpec } from '../../src/oci/spec/runtime-spec.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { type Bench, ctx, openBench } from './stores.ts';

let bench: Bench;
const app = 'docker.io/library/app:latest';
const evil = { 'containerd.io/restart.loguri': 'binary:///x', 'io.cri-containerd.kind': 'container' };
const config = {
  User: 'app',
  Env: ['PATH=/bin', 'FOO'],
  Entrypoint: ['/entry'],
  WorkingDir: '/srv/data',
  StopSignal: 'SIGQUIT',
  Labels: { ...evil, maintainer: 'me' },
};

before(async () => {
  bench = await openBench();
  await bench.addImage(app, config, (path) => {
    writeFileSync(join(path, 'etc/passwd'), 'app:x:1000:1001::/home/app:/bin/sh\n');
    writeFileSync(join(path, 'etc/group'), 'app:x:1001:\ndev:x:1005:app\n');
  });
  await bench.addImage('docker.io/library/odd:latest', {}, (path) => symlinkSync('/tmp', join(path, 'proc')));
});
after(async () => {
  await bench[Symbol.asyncDispose]();
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'latin1'), /berth-(?:mount|containers)-/);
});

const recordOf = (id: string) => bench.metadata.containers.get(ctx, id);
async function specOf(id: string): Promise<RuntimeSpec> {
  const { spec } = await recordOf(id);
  return JSON.parse(Buffer.from(spec?.value ?? []).toString()) as RuntimeSpec;
}
/** Everything that a failed or removed container could leave. */
async function leftovers(): Promise<object> {
  const snapshots = await bench.metadata.snapshotters.get('overlayfs')?.list(ctx);
  return {
    containers: (await bench.metadata.containers.list(ctx)).map((c) => c.id),
    snapshots: snapshots?.filter((s) => s.kind !== 'committed').map((s) => s.name),
    leases: (await bench.metadata.leases.list(ctx)).map((lease) => lease.id),
  };
}
const nothing = { containers: [], snapshots: [], leases: [] };
async function remove(id: string): Promise<void> {
  await bench.verbs.remove(ctx, id, { force: true });
  assert.deepEqual(await leftovers(), nothing);
}

test('a container is made of an image with its user, directory, labels and snapshot', async () => {
  const { id, name, logUri } = await bench.create({ labels: { 'containerd.io/x': 'client' } });
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(logUri, '');
  const record = await recordOf(id);
  const { process, linux } = await specOf(id);
  assert.deepEqual(process.user, { uid: 1000, gid: 1001, additionalGids: [1001, 1005] });
  assert.deepEqual(process.args, ['/entry', '/bin/x']);
  assert.deepEqual(process.env, ['PATH=/bin', `HOSTNAME=${id.slice(0, 12)}`, 'HOME=/home/app']);
  assert.equal(linux.cgroupsPath, `/test/${id}`);
  assert.deepEqual(record.labels, {
    maintainer: 'me',
    'io.containerd.image.config.stop-signal': 'SIGQUIT',
    'containerd.io/x': 'client',
    'berth/name': name,
  });
  assert.deepEqual(
    [record.image, record.snapshotKey, record.runtime.name],
    [app, id, 'io.containerd.runc.v2'],
  );
  const mounts = (await bench.metadata.snapshotters.get('overlayfs')?.mounts(ctx, id)) ?? [];
  await withTempMount(mounts, async (path) => assert.ok(existsSync(join(path, 'srv/data'))));
  await remove(id);
});

test('an image is found by its name, what people type, its digest and first digits', async () => {
  const { target } = await bench.metadata.images.get(ctx, app);
  for (const image of [app, 'app', 'app:latest', 'library/app', target.digest, target.digest.slice(7, 19)])
    await remove((await bench.create({ image })).id);
  for (const image of ['nosuch', '', 'abcdef', 'UPPER', '../x'])
    await assert.rejects(bench.create({ image }), { kind: 'not_found' });
  assert.deepEqual(await leftovers(), nothing);
});

test('a name is given once, also to many at the same time', async () => {
  const tries = Array.from({ length: 8 }, () => bench.create({ name: 'web' }));
  const results = await Promise.allSettled(tries);
  const made = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
  assert.equal(made.length, 1);
  for (const r of results) if (r.status === 'rejected') assert.equal(r.reason.kind, 'already_exists');
  await remove(made[0]?.id ?? '');
  await remove((await bench.create({ name: 'web' })).id);
});

test('an id is given once, and the loser leaves the winner alone', async () => {
  const { id, logUri } = await bench.create({ id: 'one', logs: true });
  await assert.rejects(bench.create({ id: 'one', logs: true }), { kind: 'already_exists' });
  assert.ok(existsSync(dirname(logUri.slice('cri://'.length))));
  assert.equal((await recordOf(id)).id, 'one');
  await bench.metadata.snapshotters.get('overlayfs')?.mounts(ctx, 'one');
  await remove(id);
});

const refused: [what: string, wanted: object, kind: string][] = [
  ['an id with ..', { id: '..' }, 'invalid_argument'],
  ['an id that is a path', { id: 'a/b' }, 'invalid_argument'],
  ['a long id', { id: 'a'.repeat(5_000) }, 'invalid_argument'],
  ['a name with a quote', { name: 'a"b' }, 'invalid_argument'],
  ['an unknown user', { user: 'nobody' }, 'invalid_argument'],
  ['a uid out of range (CVE-2024-40635)', { user: '4294967296' }, 'invalid_argument'],
  ['a bad environment', { env: ['FOO'] }, 'invalid_argument'],
  ['an unknown network', { network: 'bridge' }, 'invalid_argument'],
  ['an unknown seccomp', { seccomp: '/x.json' }, 'invalid_argument'],
  ['an unknown signal', { stopSignal: 'SIGNOPE' }, 'invalid_argument'],
  ['an unknown snapshotter', { snapshotter: 'zfs' }, 'invalid_argument'],
  ['a bind source that is not there', { mounts: [bind('/nowhere', '/x')] }, 'invalid_argument'],
  ['a mount over /proc', { mounts: [bind('/', '/proc')] }, 'invalid_argument'],
  ['a magic working directory (CVE-2024-21626)', { workingDir: '/proc/self/fd/8' }, 'invalid_argument'],
  ['an image with a linked /proc (CVE-2025-31133)', { image: 'odd' }, 'failed_precondition'],
];
for (const [what, wanted, kind] of refused)
  test(`${what} is refused and leaves nothing`, async () => {
    await assert.rejects(bench.create({ logs: true, ...wanted }), { kind });
    assert.deepEqual(await leftovers(), nothing);
    assert.deepEqual(namesIn(join(bench.root, 'logs/test')), []);
  });

function bind(source: string, destination: string) {
  return { type: 'bind', source, destination, options: ['ro'] };
}
const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

test('a namespace is needed', async () => {
  const wanted = { image: app, args: ['x'] };
  await assert.rejects(bench.verbs.create({ ...ctx, namespace: '' }, wanted), {
    kind: 'failed_precondition',
  });
  await assert.rejects(bench.verbs.create({ ...ctx, namespace: '../x' }, wanted), {
    kind: 'invalid_argument',
  });
});

test('a running container is removed by force only', async () => {
  const { id } = await bench.create();
  bench.tasks.start(id);
  await assert.rejects(bench.verbs.remove(ctx, id), { kind: 'failed_precondition' });
  bench.tasks.calls.length = 0;
  await remove(id);
  assert.deepEqual(bench.tasks.calls, ['kill 9', 'delete']);
  await assert.rejects(bench.verbs.remove(ctx, id), { kind: 'not_found' });
});

test('FIFOs and logs go with the container', async () => {
  const { id, logUri } = await bench.create({ logs: true });
  const log = logUri.slice('cri://'.length);
  assert.equal(log, join(bench.root, 'logs/test', id, 'log'));
  writeFileSync(log, '2026-11-22T13:24:39.1Z stdout F hello\n');
  const wanted = { containerId: id, execId: '', stdin: true, stdout: true, stderr: false };
  const { stdin, stderr } = await bench.verbs.makeStdio(ctx, wanted);
  assert.ok(existsSync(stdin) && stderr === '');
  const lines: string[] = [];
  for await (const entry of bench.verbs.logs(ctx, { containerId: id, follow: true, tail: 0 }))
    lines.push(`${entry.stream} ${Buffer.from(entry.data)}`);
  assert.deepEqual(lines, ['stdout hello']);
  await remove(id);
  assert.ok(!existsSync(log) && !existsSync(stdin));
});

test('logs of a container that keeps none, and FIFOs for one that is not there, are refused', async () => {
  const { id } = await bench.create();
  const first = bench.verbs
    .logs(ctx, { containerId: id, follow: false, tail: 0 })
    [Symbol.asyncIterator]()
    .next();
  await assert.rejects(first, { kind: 'failed_precondition' });
  const wanted = { containerId: 'nosuch', execId: '', stdin: true, stdout: true, stderr: true };
  await assert.rejects(bench.verbs.makeStdio(ctx, wanted), { kind: 'not_found' });
  await assert.rejects(bench.verbs.makeStdio(ctx, { ...wanted, containerId: id, execId: '../x' }), {
    kind: 'invalid_argument',
  });
  await remove(id);
});

test('the spec of another process keeps the rights and finds users in the snapshot', async () => {
  const { id } = await bench.create({ capDrop: ['ALL'] });
  const wanted = {
    containerId: id,
    args: ['ls'],
    env: ['A=1'],
    workingDir: '',
    terminal: false,
    privileged: false,
  };
  const process = async (user: string) => {
    const { typeUrl, value } = await bench.verbs.processSpec(ctx, { ...wanted, user });
    assert.equal(typeUrl, 'types.containerd.io/opencontainers/runtime-spec/1/Process');
    return JSON.parse(Buffer.from(value).toString()) as RuntimeSpec['process'];
  };
  assert.deepEqual((await process('')).user.uid, 1000);
  assert.deepEqual((await process('0')).user, { uid: 0, gid: 0, additionalGids: [0] });
  assert.deepEqual((await process('app:dev')).user.additionalGids, [1005]);
  assert.deepEqual((await process('')).capabilities.bounding, []);
  await assert.rejects(process('nosuch'), { kind: 'invalid_argument' });
  await remove(id);
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function housekeeping(): AsyncDisposable {
  const stop = new AbortController();
  const { namespaces } = bench.metadata;
  const done = keepHouse(
    { ...bench.parts, namespaces, verbs: bench.verbs, log: silentLog, comeBackMs: 0 },
    stop.signal,
  );
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}

test('an exit removes what was made to be removed, and its FIFOs', async () => {
  await using _ = housekeeping();
  const gone = await bench.create({ autoRemove: true });
  const kept = await bench.create();
  const wanted = { containerId: kept.id, execId: '', stdin: true, stdout: true, stderr: true };
  const { stdin } = await bench.verbs.makeStdio(ctx, wanted);
  for (const { id } of [gone, kept]) {
    bench.tasks.start(id);
    bench.tasks.exit(id);
  }
  await sleep(300);
  assert.deepEqual(Object(await leftovers()).containers, [kept.id]);
  assert.ok(!existsSync(stdin));
  await remove(kept.id);
});

test('a start removes what exited while no daemon looked', async () => {
  await bench.metadata.namespaces.create(ctx, { name: 'test', labels: {} }).catch(() => {});
  const { id } = await bench.create({ autoRemove: true });
  bench.tasks.alive.set(id, false);
  {
    await using _ = housekeeping();
    await sleep(200);
  }
  assert.deepEqual(await leftovers(), nothing);
});
