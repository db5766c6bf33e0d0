import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescService, toBinary } from '@bufbuild/protobuf';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import { Connection } from '../../src/client/connection.ts';
import { toPlatform } from '../../src/client/convert.ts';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { remoteIntrospection } from '../../src/client/introspection.ts';
import { remoteSnapshotter } from '../../src/client/snapshots.ts';
import { openStream } from '../../src/client/streams.ts';
import { codeOf } from '../../src/errors/error.ts';
import * as containers from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import * as content from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import * as diff from '../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import * as images from '../../src/gen/containerd/services/images/v1/images_pb.ts';
import * as introspection from '../../src/gen/containerd/services/introspection/v1/introspection_pb.ts';
import * as leases from '../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import * as namespaces from '../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import * as snapshots from '../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import * as tasks from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import { Transfer } from '../../src/gen/containerd/services/transfer/v1/transfer_pb.ts';
import * as version from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import {
  AuthRequestSchema,
  AuthResponseSchema,
  AuthType,
  HTTPDebug,
  ImageStoreSchema,
  OCIRegistrySchema,
  ProgressSchema,
} from '../../src/gen/containerd/types/transfer/transfer_pb.ts';
import { parseDigest } from '../../src/oci/digest.ts';
import { restartLabels } from '../../src/oci/label-names.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { patienceMs } from '../kit/until.ts';

// What nerdctl 2.x looks at, one test a line of features.md §2.3: it cannot be built here.

const login = { username: 'me', password: 'secret-of-the-registry' };
const interval = '[plugins."io.containerd.monitor.container.v1.restart"]\ninterval = "300ms"\n';
let registry: TestRegistry;
let daemon: TestDaemon;
let berth: BerthClient;
let connection: Connection;
let image: string;
before(async () => {
  registry = await TestRegistry.start({ login, tls: true });
  image = await registry.pushBusybox();
  daemon = await startDaemon({ config: interval });
  berth = connect({ address: daemon.address });
  connection = new Connection({ address: daemon.address, namespace: 'default', timeoutMs: 30_000 });
  await ctr(
    'images',
    'pull',
    '--hosts-dir',
    registry.hostsDir(),
    '-u',
    `${login.username}:${login.password}`,
    image,
  );
});
after(async () => {
  berth?.close();
  connection?.[Symbol.dispose]();
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

const ctr = (...args: string[]) => output(ctr2, ['-a', daemon.address, ...args]);
const introspect = () => remoteIntrospection(connection);
const ctx = daemonContext(silentLog, 'default');
const until = async (so: () => boolean | Promise<boolean>, what: string) => {
  for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) if (await so()) return;
  assert.fail(`${what}\n${daemon.log().slice(-2000)}`);
};
const script = (name: string, text: string): string => {
  const path = join(daemon.dir, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
};
const readOrNothing = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

test('§2.3 all of the services of 2.1 answer: no method says UNIMPLEMENTED', async () => {
  const services: readonly DescService[] = [
    containers.Containers,
    content.Content,
    diff.Diff,
    images.Images,
    introspection.Introspection,
    leases.Leases,
    namespaces.Namespaces,
    snapshots.Snapshots,
    tasks.Tasks,
    version.Version,
  ];
  for (const service of services)
    for (const method of service.methods) {
      if (method.methodKind !== 'unary') continue;
      const call = (
        connection.service(service) as Record<string, (r: object, o: object) => Promise<unknown>>
      )[method.localName];
      const failure = await call?.({}, connection.unary({ timeoutMs: 5_000 })).then(
        () => undefined,
        (e) => e,
      );
      assert.notEqual(codeOf(failure?.cause), 12, `${service.typeName}/${method.name}: ${failure}`);
    }
});

/** Transfer as nerdctl makes it: streams for login, progress and HTTP, and a hosts directory that is gone afterwards. */
async function transferWithStreams(pull: boolean, reference: string) {
  const stop = new AbortController();
  const open = (purpose: string) => openStream(connection, purpose, stop.signal);
  const [auth, progress, logs] = [await open('auth'), await open('progress'), await open('logs')];
  const asked: string[] = [];
  const answering = (async () => {
    for await (const { host, wwwauthenticate } of auth.receive(AuthRequestSchema)) {
      asked.push(`${host} ${wwwauthenticate.join()}`);
      const answer = { authType: AuthType.CREDENTIALS, username: login.username, secret: login.password };
      auth.send(AuthResponseSchema, create(AuthResponseSchema, answer));
    }
  })();
  const steps: { event: string; name: string; parents: readonly string[] }[] = [];
  const watching = (async () => {
    for await (const step of progress.receive(ProgressSchema)) steps.push(step);
  })();
  let dump = '';
  const dumping = (async () => {
    const { DataSchema, WindowUpdateSchema } = await import(
      '../../src/gen/containerd/types/transfer/transfer_pb.ts'
    );
    logs.send(WindowUpdateSchema, create(WindowUpdateSchema, { update: 1 << 20 }));
    for await (const { data } of logs.receive(DataSchema)) dump += Buffer.from(data).toString();
  })();
  const hostDir = mkdtempSync(join(daemon.dir, 'hosts-'));
  await output('cp', ['-r', `${registry.hostsDir()}/.`, hostDir]);
  const registryEnd = create(OCIRegistrySchema, {
    reference,
    resolver: {
      authStream: auth.id,
      hostDir,
      headers: { 'X-Meta': 'nerdctl' },
      httpDebug: HTTPDebug.BOTH,
      logsStream: logs.id,
    },
  });
  const platform = toPlatform(hostPlatform());
  const storeEnd = create(ImageStoreSchema, {
    name: pull ? reference : image,
    platforms: pull ? [platform] : [],
    unpacks: pull ? [{ platform, snapshotter: 'overlayfs' }] : [],
    labels: pull ? { 'nerdctl/pulled': 'yes' } : {},
  });
  const ends = [
    { typeUrl: OCIRegistrySchema.typeName, value: toBinary(OCIRegistrySchema, registryEnd) },
    { typeUrl: ImageStoreSchema.typeName, value: toBinary(ImageStoreSchema, storeEnd) },
  ];
  const [source, destination] = pull ? ends : ends.toReversed();
  assert.ok(source && destination);
  await connection
    .service(Transfer)
    .transfer({ source, destination, options: { progressStream: progress.id } }, connection.stream({}));
  await Promise.all([watching, dumping]);
  stop.abort();
  await answering.catch(() => {});
  rmSync(hostDir, { recursive: true });
  return { asked, steps, dump };
}

test('§2.3 Transfer pull: auth stream, progress with parents, verbose HTTP stream, a hosts directory for the moment', async () => {
  const reference = `${registry.host}/busybox:latest`;
  await ctr('images', 'rm', '--sync', reference);
  const { asked, steps, dump } = await transferWithStreams(true, reference);
  assert.match(asked[0] ?? '', new RegExp(`^${registry.host} .*[Bb]asic`));
  const manifest = steps.find(({ name }) => name.startsWith('manifest-'));
  const layer = steps.find(({ name, event }) => name.startsWith('layer-') && event === 'complete');
  assert.deepEqual(manifest?.parents, [reference]);
  assert.deepEqual(layer?.parents, [manifest?.name]);
  assert.equal(steps.at(-1)?.event, `Completed pull from OCI Registry (${reference})`);
  assert.match(dump, /> (?:HEAD|GET) \S+\/v2\/busybox\/manifests\/latest/);
  assert.match(dump, /> X-Meta: /);
  assert.ok(
    !dump.includes(Buffer.from(`${login.username}:${login.password}`).toString('base64')),
    'no login in the dump',
  );
  assert.equal((await berth.images.get(reference)).labels['nerdctl/pulled'], 'yes');
  assert.match(await ctr('images', 'check', `name==${reference}`), /complete .* true/);
});

test('§2.3 Transfer push, with the same streams', async () => {
  const reference = `${registry.host}/pushed:1`;
  const { asked, steps } = await transferWithStreams(false, reference);
  assert.ok(asked.length > 0);
  assert.equal(steps.at(-1)?.event, `Completed push to OCI Registry (${reference})`);
  const shown = await output('skopeo', [
    'inspect',
    '--tls-verify=false',
    '--creds',
    `${login.username}:${login.password}`,
    `docker://${reference}`,
  ]);
  assert.equal(JSON.parse(shown).Digest, (await berth.images.get(image)).target.digest);
});

test('§2.3 Transfer save, load, tag and import', async () => {
  const archive = join(daemon.dir, 'saved.tar');
  await ctr('images', 'tag', image, 'nerdctl.test/tagged:1');
  await ctr('images', 'export', archive, image, 'nerdctl.test/tagged:1');
  for (const place of [`oci-archive:${archive}:1`, `docker-archive:${archive}:nerdctl.test/tagged:1`])
    assert.match(await output('skopeo', ['inspect', place]), /"Layers"/);
  await ctr('images', 'rm', '--sync', 'nerdctl.test/tagged:1');
  const shown = await ctr('images', 'import', '--all-platforms', archive);
  assert.match(shown, /nerdctl.test\/tagged:1/);
  assert.equal(await ctr('run', '--rm', '--null-io', 'nerdctl.test/tagged:1', 'imported', 'true'), '');
});

test('§2.3 Introspection: restart policies, snapshotter capabilities, runtime plug-in, UUID of the server', async () => {
  const [restart] = await introspect().plugins(['id==restart']);
  assert.equal(restart?.type, 'io.containerd.monitor.container.v1');
  assert.deepEqual(restart?.capabilities, ['no', 'always', 'on-failure', 'unless-stopped']);
  const [overlay] = await introspect().plugins(['type==io.containerd.snapshotter.v1,id==overlayfs']);
  assert.ok(overlay?.capabilities.includes('remap-ids'));
  assert.equal(overlay?.initError, undefined);
  const runtimes = await introspect().plugins(['type==io.containerd.runtime.v2']);
  assert.ok(runtimes.some(({ platforms }) => platforms.length > 0));
  const { uuid } = await introspect().server();
  assert.match(uuid, /^[0-9a-f-]{36}$/);
  await daemon.restart();
  assert.equal((await introspect().server()).uuid, uuid);
});

test('§2.3 Version is a semver from 2.0 on', async () => {
  const [, major = '0'] = /^v?(\d+)\.\d+\.\d+(?:[-+].*)?$/.exec((await introspect().version()).version) ?? [];
  assert.ok(Number(major) >= 2);
});

/** A logging program that writes what it was given and all that comes on descriptors 3 and 4. */
const loggerOf = (name: string, log: string) =>
  script(
    name,
    `exec 5>&-
{ echo "args $*"; echo "env $CONTAINER_NAMESPACE/$CONTAINER_ID"; } >>${log}
sed 's/^/err /' <&4 >>${log} &
sed 's/^/out /' <&3 >>${log}
wait`,
  );

test('§2.3 log URI binary://: the shim runs the program with its query, descriptors 3, 4 and 5, id and namespace', async () => {
  const log = join(daemon.dir, 'logger.log');
  const uri = `binary://${loggerOf('logger', log)}?_NERDCTL_INTERNAL_LOGGING=/var/lib/nerdctl/1935db59`;
  await ctr('run', '-d', '--log-uri', uri, image, 'logged', 'sh', '-c', 'echo to-out; echo to-err >&2');
  await until(
    () => /out to-out/.test(readOrNothing(log)) && /err to-err/.test(readOrNothing(log)),
    'both streams came',
  );
  assert.match(readOrNothing(log), /^args _NERDCTL_INTERNAL_LOGGING \/var\/lib\/nerdctl\/1935db59$/m);
  assert.match(readOrNothing(log), /^env default\/logged$/m);
});

test('§2.3 restart labels: the task comes back, its output in the program of restart.loguri', async () => {
  const log = join(daemon.dir, 'restarted.log');
  const uri = `binary://${loggerOf('restarted', log)}?_NERDCTL_INTERNAL_LOGGING=/d`;
  const labels = [
    `${restartLabels.status}=running`,
    `${restartLabels.policy}=on-failure:1`,
    `${restartLabels.logUri}=${uri}`,
  ].flatMap((label) => ['--label', label]);
  await ctr('run', '-d', '--log-uri', uri, ...labels, image, 'again', 'sh', '-c', 'echo turn; exit 3');
  await until(() => (readOrNothing(log).match(/^out turn$/gm) ?? []).length === 2, 'ran twice, logged twice');
  assert.equal((await berth.containers.get('again')).labels[restartLabels.count], '1');
});

/** A container whose spec has been changed, as a client writes it. */
async function containerWith(id: string, change: (spec: Record<string, unknown>) => void): Promise<void> {
  await berth.containers.create({ id, image, args: ['sleep', '100000'] });
  const { createdAt: _, updatedAt: __, ...record } = await berth.containers.get(id);
  assert.ok(record.spec);
  const spec = JSON.parse(Buffer.from(record.spec.value).toString());
  change(spec);
  await berth.containers.deleteRecord(id);
  await berth.containers.createRecord({
    ...record,
    spec: { ...record.spec, value: Buffer.from(JSON.stringify(spec)) },
  });
}

test("§2.3 OCI hooks createRuntime and postStop run as nerdctl's oci-hook does: state on stdin, network namespace there", async () => {
  const seen = join(daemon.dir, 'hook.log');
  const hook = script(
    'hook',
    `state=$(cat); pid=$(echo "$state" | sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')
echo "$1 $2 $ROOT net=$(readlink /proc/$pid/ns/net) $state" >>${seen}`,
  );
  const hookOf = (name: string) => [
    { path: hook, args: ['nerdctl', 'internal', name], env: [`ROOT=${daemon.root}`] },
  ];
  await containerWith('hooked', (spec) => {
    spec.hooks = { createRuntime: hookOf('createRuntime'), poststop: hookOf('postStop') };
    spec.annotations = { 'nerdctl/state-dir': '/x' };
  });
  const task = await berth.tasks.create('hooked');
  const { pid } = await berth.tasks.get('hooked');
  const net = await output('readlink', [`/proc/${pid}/ns/net`]);
  const created = readOrNothing(seen);
  assert.ok(created.startsWith(`internal createRuntime ${daemon.root} net=${net} `), created);
  assert.match(created, /"id": *"hooked"/);
  assert.match(created, /"bundle": *"[^"]*hooked"/);
  assert.match(created, /"nerdctl\/state-dir": *"\/x"/);
  await task.start();
  await task.kill(9);
  await task.wait();
  await task.delete();
  assert.match(readOrNothing(seen), /^internal postStop /m);
  assert.match(readOrNothing(seen), /"status": *"stopped"/);
});

test('§2.3 a createRuntime hook that fails fails the create, in its own words, and leaves nothing', async () => {
  const hook = script('bad-hook', 'echo "no CNI here" >&2; exit 1');
  await containerWith('unhooked', (spec) => {
    spec.hooks = { createRuntime: [{ path: hook, args: ['h'] }] };
  });
  await assert.rejects(berth.tasks.create('unhooked'), /no CNI here|hook/);
  assert.ok(!(await ctr('task', 'ls', '-q')).split('\n').includes('unhooked'));
});

test('§2.3 nerdctl cp: /proc/<pid>/root of a task is its root, to read and to write', async () => {
  await ctr('run', '-d', '--null-io', image, 'rooted', 'sh', '-c', 'echo inside >/file; exec sleep 100000');
  const { pid } = await berth.tasks.get('rooted');
  await until(() => readOrNothing(`/proc/${pid}/root/file`) === 'inside\n', 'written');
  await output('tar', ['-C', `/proc/${pid}/root/tmp`, '-xf', '-'], {
    input: await output('tar', ['-C', daemon.dir, '-cf', '-', 'hook']),
  });
  assert.match(await ctr('task', 'exec', '--exec-id', 'look', 'rooted', 'cat', '/tmp/hook'), /^#!\/bin\/sh/);
});

test("§2.3 the data store's path hangs on the realpath of the socket: it stays what it is", async () => {
  assert.equal(realpathSync(daemon.address), daemon.address);
  await daemon.restart('SIGKILL');
  assert.equal(realpathSync(daemon.address), daemon.address);
});

test('§2.3 events without a filter: of every namespace and topic', async () => {
  const stop = new AbortController();
  const seen = new Set<string>();
  const watching = (async () => {
    for await (const { namespace, topic } of berth.events.subscribe({ signal: stop.signal }))
      seen.add(`${namespace} ${topic}`);
  })().catch(() => {});
  const wanted = [
    'other /namespaces/create',
    'other /namespaces/delete',
    'default /images/create',
    'default /images/delete',
  ];
  await until(async () => {
    await ctr('ns', 'create', 'other');
    await ctr('ns', 'rm', 'other');
    await ctr('images', 'tag', image, 'nerdctl.test/event:1');
    await ctr('images', 'rm', 'nerdctl.test/event:1');
    return wanted.every((one) => seen.has(one));
  }, `want ${wanted}`);
  stop.abort();
  await watching;
});

test('§2.3 compose, volume, network and build state: labels are kept verbatim, whatever clients put there', async () => {
  const labels = {
    'nerdctl/name': 'web',
    'nerdctl/networks': '["bridge","a b"]',
    'nerdctl/ports': JSON.stringify([
      { HostPort: 80, ContainerPort: 8080, Protocol: 'tcp', HostIP: '0.0.0.0' },
    ]),
    'com.docker.compose.project': 'Prö jekt=1,2;"3"',
    'nerdctl/long': 'x'.repeat(4000),
  };
  const { runtime, image: name } = await berth.containers.get('rooted');
  const record = {
    id: 'labelled',
    labels,
    image: name,
    runtime,
    snapshotter: 'overlayfs',
    snapshotKey: '',
    extensions: {},
    sandboxId: '',
  };
  // containerd drops what has no value.
  await berth.containers.createRecord({ ...record, labels: { ...labels, 'nerdctl/empty': '' } });
  assert.deepEqual({ ...(await berth.containers.get('labelled')).labels }, labels);
  const found = await berth.containers.list([`labels."com.docker.compose.project"=="Prö jekt=1,2;\\"3\\""`]);
  assert.deepEqual(
    found.map(({ id }) => id),
    ['labelled'],
  );
  await daemon.restart();
  assert.deepEqual({ ...(await berth.containers.get('labelled')).labels }, labels);
});

test('§2.3 namespaces: labels on them, and nothing of one seen in another', async () => {
  await ctr('ns', 'create', 'apart', 'nerdctl/default-snapshotter=native');
  assert.match(await ctr('ns', 'ls'), /apart +nerdctl\/default-snapshotter=native/);
  assert.equal(await ctr('-n', 'apart', 'images', 'ls', '-q'), '');
  await ctr('ns', 'rm', 'apart');
});

test('§2.3 snapshotter queries: sizes of images and containers by Stat, Usage and List with filters', async () => {
  const overlay = remoteSnapshotter(connection, 'overlayfs');
  const { parent } = await overlay.stat(ctx, 'rooted');
  assert.equal((await overlay.stat(ctx, parent)).kind, 'committed');
  assert.ok((await overlay.usage(ctx, parent)).sizeBytes > 1_000_000);
  assert.ok((await overlay.usage(ctx, 'rooted')).inodes > 0);
  const names = (await overlay.list(ctx, ['name==rooted'])).map(({ name }) => name);
  assert.deepEqual(names, ['rooted']);
});

test('§2.3 commit as the client does it: pause, diff against the parent, config and manifest of its own', async () => {
  await ctr('task', 'pause', 'rooted');
  const diffed = join(daemon.dir, 'diff.tar.gz');
  await output('sh', [
    '-c',
    `${ctr2} -a ${daemon.address} snapshots --snapshotter overlayfs diff rooted >${diffed}`,
  ]);
  await ctr('task', 'resume', 'rooted');
  assert.match(await output('sh', ['-c', `gzip -dcf ${diffed} | tar t`]), /^file$/m);
});

test('§2.3 commit of the daemon: what it made is whole to skopeo', async () => {
  await berth.images.commit('rooted', 'nerdctl.test/committed:1', { changes: ['CMD ["cat", "/file"]'] });
  const archive = join(daemon.dir, 'committed.tar');
  await ctr('images', 'export', archive, 'nerdctl.test/committed:1');
  const config = JSON.parse(await output('skopeo', ['inspect', '--config', `oci-archive:${archive}`]));
  assert.deepEqual(config.config.Cmd, ['cat', '/file']);
  assert.equal(
    config.rootfs.diff_ids.length,
    config.history.filter((h: { empty_layer?: boolean }) => h.empty_layer !== true).length,
  );
  await output('skopeo', [
    'copy',
    '-q',
    '--insecure-policy',
    `oci-archive:${archive}`,
    `dir:${join(daemon.dir, 'checked')}`,
  ]);
  assert.equal(await ctr('run', '--rm', 'nerdctl.test/committed:1', 'committed', 'cat', '/file'), 'inside');
});

test('§2.3 convert: to OCI types and plain layers, and it runs', async () => {
  await ctr('images', 'convert', '--oci', '--uncompress', image, 'nerdctl.test/converted:1');
  const { target } = await berth.images.get('nerdctl.test/converted:1');
  assert.equal(target.mediaType, 'application/vnd.oci.image.manifest.v1+json');
  const manifest = JSON.parse(await ctr('content', 'get', target.digest));
  assert.deepEqual(
    manifest.layers.map(({ mediaType }: { mediaType: string }) => mediaType),
    ['application/vnd.oci.image.layer.v1.tar'],
  );
  assert.equal(await ctr('run', '--rm', 'nerdctl.test/converted:1', 'converted', 'echo', 'runs'), 'runs');
});

test('§2.3 convert to zstd, as a client writes it: blobs pushed into the content store are unpacked and run', async () => {
  const [archive, zstd] = [join(daemon.dir, 'plain.tar'), join(daemon.dir, 'zstd')];
  await ctr('images', 'export', archive, image);
  const flags = [
    'copy',
    '-q',
    '--insecure-policy',
    '--dest-compress-format',
    'zstd',
    '--dest-force-compress-format',
    '--format',
    'oci',
  ];
  const { status } = await run('skopeo', [...flags, `oci-archive:${archive}`, `oci:${zstd}:z`]);
  if (status !== 0) {
    // skopeo 1.9 has no --dest-force-compress-format, and without it keeps what is compressed already: through a plain copy.
    await output('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      '--dest-decompress',
      `oci-archive:${archive}`,
      `dir:${zstd}-dir`,
    ]);
    await output('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      '--dest-compress-format',
      'zstd',
      '--format',
      'oci',
      `dir:${zstd}-dir`,
      `oci:${zstd}:z`,
    ]);
  }
  await output('tar', ['-C', zstd, '-cf', `${zstd}.tar`, '.']);
  await ctr('images', 'import', '--index-name', 'nerdctl.test/zstd:1', `${zstd}.tar`);
  const { target } = await berth.images.get('nerdctl.test/zstd:1');
  const index = JSON.parse(await ctr('content', 'get', target.digest));
  const manifest = JSON.parse(await ctr('content', 'get', index.manifests?.[0].digest ?? target.digest));
  assert.match(JSON.stringify(manifest.layers), /tar\+zstd/);
  assert.equal(await ctr('run', '--rm', 'nerdctl.test/zstd:1', 'zstd', 'echo', 'runs'), 'runs');
});

test('§2.3 convert to eStargz, as a client writes it: layers with its annotations are ordinary gzip layers here', async () => {
  const { target } = await berth.images.get(image);
  const manifest = JSON.parse(await ctr('content', 'get', target.digest));
  const toc = `sha256:${randomBytes(32).toString('hex')}`;
  manifest.layers[0].annotations = {
    'containerd.io/snapshot/stargz/toc.digest': toc,
    'io.containers.estargz.uncompressed-size': '1',
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  // With its labels from the first moment on: a collection between the two would take the blob, and what it refers to.
  await using writer = await berth.content.writer(berth.context(), { ref: 'estargz', expected: digest });
  await writer.write(bytes);
  await writer.commit({
    sizeBytes: bytes.length,
    expected: digest,
    labels: {
      'containerd.io/gc.root': new Date().toISOString(),
      'containerd.io/gc.ref.content.config': manifest.config.digest,
      'containerd.io/gc.ref.content.l.0': manifest.layers[0].digest,
    },
  });
  const { digest: _, ...rest } = target;
  const estargz = { ...rest, digest, size: BigInt(bytes.length), annotations: {} };
  await connection
    .service(images.Images)
    .create({ image: { name: 'nerdctl.test/estargz:1', target: estargz } }, connection.unary());
  assert.equal(await ctr('run', '--rm', 'nerdctl.test/estargz:1', 'estargz', 'echo', 'runs'), 'runs');
  assert.ok((await ctr('content', 'get', digest)).includes(toc));
});
