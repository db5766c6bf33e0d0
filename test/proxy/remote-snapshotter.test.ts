import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { makeBusyboxLayout, TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { Soci } from './soci.ts';

/** soci speaks TLS to registries of other machines only, and finds referrers by TLS only: so this is one. */
const ip = '10.255.77.1';
let registry: TestRegistry;
let soci: Soci;
let daemon: TestDaemon;
let image: string;
let bigLayer: string;

const ctr = (...args: string[]) => output(ctr2, ['-a', daemon.address, ...args], { timeoutMs: 60_000 });

/** busybox and above it a layer of 20 MiB that does not compress. */
async function pushImage(): Promise<string> {
  const layout = await makeBusyboxLayout(registry.dir);
  const bundle = join(registry.dir, 'bundle');
  const tag = `${layout}:busybox`;
  await output('umoci', ['unpack', '--image', tag, bundle]);
  writeFileSync(join(bundle, 'rootfs/big'), randomBytes(20 << 20));
  writeFileSync(join(bundle, 'rootfs/hello'), 'lazily\n');
  await output('umoci', ['repack', '--image', tag, bundle]);
  return registry.push(tag, 'lazy');
}

/** What soci needs is made with another daemon, which has the whole image. */
async function indexImage(): Promise<void> {
  await using whole = await startDaemon();
  await output(ctr2, ['-a', whole.address, 'images', 'pull', '--hosts-dir', registry.hostsDir(), image]);
  const make = (...args: string[]) =>
    output(soci.cli, ['-a', whole.address, ...args, image], { env: soci.env });
  await make('create', '--min-layer-size', '0');
  await make('push');
}

before(async () => {
  await output('ip', ['address', 'add', `${ip}/32`, 'dev', 'lo']);
  registry = await TestRegistry.start({ tls: true, ip });
  image = await pushImage();
  const inspected = JSON.parse(
    await output('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`]),
  );
  bigLayer = inspected.Layers.at(-1);
  soci = new Soci(registry.caFile);
  await indexImage();
  await soci.start();
  daemon = await startDaemon({ config: soci.plugin('soci') });
});
after(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await soci?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await output('ip', ['address', 'del', `${ip}/32`, 'dev', 'lo']);
});

/** One whose program was not read yet dies of it (SIGBUS). */
const listed = /stays +\d+ +(RUNNING|STOPPED)/;
test('a proxy snapshotter is listed with what its configuration says', async () => {
  assert.match(await ctr('plugins', 'ls'), /io\.containerd\.snapshotter\.v1 +soci +linux\/amd64 +ok/);
});

test('an image is run by a remote snapshotter without its large layer being here', async () => {
  await ctr('images', 'pull', '--hosts-dir', registry.hostsDir(), '--snapshotter', 'soci', image);
  assert.doesNotMatch(await ctr('content', 'ls', '-q'), new RegExp(bigLayer));
  assert.equal((await ctr('snapshots', '--snapshotter', 'soci', 'ls')).split('\n').length, 3);
  const read = await ctr('run', '--rm', '--snapshotter', 'soci', image, 'lazy', 'cat', '/hello');
  assert.equal(read, 'lazily');
  await ctr('images', 'pull', '--hosts-dir', registry.hostsDir(), '--snapshotter', 'soci', image);
});

test('the same image goes to overlayfs beside it, whole', async () => {
  await ctr('images', 'pull', '--hosts-dir', registry.hostsDir(), '--snapshotter', 'overlayfs', image);
  assert.match(await ctr('content', 'ls', '-q'), new RegExp(bigLayer));
  assert.equal(await ctr('run', '--rm', image, 'whole', 'cat', '/hello'), 'lazily');
});

test('one that is killed delays nobody else and says so to who needs it; restarted, it goes on', async () => {
  await soci.kill();
  const refused = await run(ctr2, ['-a', daemon.address, 'run', '--snapshotter', 'soci', image, 'x', 'true']);
  assert.match(refused.stderr, /snapshotter soci: prepare: /);
  assert.equal(await ctr('run', '--rm', image, 'whole', 'echo', 'fine'), 'fine');
  await soci.start();
  while (
    (await run(ctr2, ['-a', daemon.address, 'run', '--rm', '--snapshotter', 'soci', image, 'again', 'true']))
      .status !== 0
  );
});

test('one that is killed and restarted under a running container: the container is whole in the API, the daemon too', async () => {
  const lazily = ['--snapshotter', 'soci', image];
  await ctr('run', '-d', ...lazily, 'stays', 'sleep', '100000');
  await soci.kill();
  assert.match(await ctr('tasks', 'ls'), listed);
  await soci.start();
  assert.match(await ctr('tasks', 'ls'), listed);
  await daemon.restart('SIGKILL');
  assert.match(await ctr('tasks', 'ls'), listed);
  assert.equal(await ctr('run', '--rm', ...lazily, 'fresh', 'cat', '/hello'), 'lazily');
  await ctr('tasks', 'rm', '-f', 'stays');
  await ctr('containers', 'rm', 'stays');
});

test('one that hangs holds up those who use it, and nobody else', async () => {
  soci.signal('SIGSTOP');
  try {
    const waits = [
      '-a',
      daemon.address,
      '--timeout',
      '2s',
      'run',
      '--rm',
      '--snapshotter',
      'soci',
      image,
      'w',
      'true',
    ];
    const refused = await run(ctr2, waits);
    assert.match(refused.stderr, /deadline exceeded/i);
    assert.equal(await ctr('run', '--rm', image, 'whole', 'echo', 'fine'), 'fine');
  } finally {
    soci.signal('SIGCONT');
  }
  assert.equal(await ctr('run', '--rm', '--snapshotter', 'soci', image, 'on', 'cat', '/hello'), 'lazily');
});

test('what is removed here goes there, children before their parents', async () => {
  await ctr('images', 'rm', '--sync', image);
  await ctr('content', 'prune', 'references');
  assert.equal((await ctr('snapshots', '--snapshotter', 'soci', 'ls')).split('\n').length, 1);
  const { connect } = await import('../../src/client/index.ts');
  using there = connect({ address: soci.address });
  assert.deepEqual(await there.snapshotter('soci').list(there.context()), []);
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
});

test('a daemon starts without its proxy snapshotter', async () => {
  await soci.kill();
  await daemon.restart('SIGKILL');
  assert.match(await ctr('version'), /Server/);
});
