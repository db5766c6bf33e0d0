// The stargz snapshotter 0.18.2.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { makeBusyboxLayout, TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import type { SnapshotterProcess } from './snapshotter-process.ts';
import { convertToStargz, stargz, stargzSnapshotter } from './stargz.ts';

describe('stargz', { skip: stargz === undefined ? 'stargz could not be built here' : false }, () => {
  let registry: TestRegistry;
  let snapshotter: SnapshotterProcess;
  let daemon: TestDaemon;
  let image: string;
  let layers: string[];
  const lazily = () => ['--snapshotter', 'stargz', image];
  const ctr = (...args: string[]) => output(ctr2, ['-a', daemon.address, ...args]);

  /** An image whose last layer is large, pushed as it is, and as eStargz by a daemon that has it whole. */
  async function makeImage(): Promise<void> {
    const layout = await makeBusyboxLayout(registry.dir);
    const bundle = join(registry.dir, 'bundle');
    await output('umoci', ['unpack', '--image', `${layout}:busybox`, bundle]);
    writeFileSync(join(bundle, 'rootfs/big'), randomBytes(8 << 20));
    writeFileSync(join(bundle, 'rootfs/hello'), 'lazily\n');
    await output('umoci', ['repack', '--image', `${layout}:busybox`, bundle]);
    const plain = await registry.push(`${layout}:busybox`, 'plain');
    image = `${registry.host}/stargz:latest`;
    await using elsewhere = await startDaemon();
    const there = (...args: string[]) => output(ctr2, ['-a', elsewhere.address, 'images', ...args]);
    await there('pull', '--plain-http', plain);
    await convertToStargz(elsewhere.address, plain, image);
    await there('push', '--plain-http', image);
  }

  before(async () => {
    registry = await TestRegistry.start();
    await makeImage();
    const inspected = JSON.parse(
      await output('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`]),
    );
    layers = inspected.Layers;
    snapshotter = await stargzSnapshotter().start();
    daemon = await startDaemon({ config: snapshotter.plugin('stargz') });
  });
  after(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await snapshotter?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });

  /** One whose program was not read yet dies of it (SIGBUS). */
  const listed = /stays +\d+ +(RUNNING|STOPPED)/;
  const pullLazily = () => ctr('images', 'pull', '--plain-http', ...lazily());
  const snapshots = async () =>
    (await ctr('snapshots', '--snapshotter', 'stargz', 'ls')).split('\n').slice(1);
  const layersHere = async () =>
    (await ctr('content', 'ls', '-q')).split('\n').filter((digest) => layers.includes(digest));

  test('an image converted by the published library on one daemon is pulled by another without a byte of its layers, and runs', async () => {
    await pullLazily();
    assert.equal(layers.length, 2);
    assert.deepEqual(await layersHere(), []);
    assert.equal(await ctr('run', '--rm', ...lazily(), 'lazy', 'cat', '/hello'), 'lazily');
    assert.equal(await ctr('run', '--rm', ...lazily(), 'size', 'stat', '-c', '%s', '/big'), String(8 << 20));
    assert.deepEqual(await layersHere(), []);
  });

  test('the daemon killed with -9: the image is still there, still without its layers, and runs', async () => {
    await daemon.restart('SIGKILL');
    assert.equal(await ctr('run', '--rm', ...lazily(), 'again', 'cat', '/hello'), 'lazily');
    assert.deepEqual(await layersHere(), []);
  });

  test('the snapshotter killed under a running container: the daemon stays whole, and the container ends when told', async () => {
    await ctr('run', '-d', ...lazily(), 'stays', 'sleep', '100000');
    await snapshotter.kill();
    assert.match(await ctr('tasks', 'ls'), listed);
    const words = ['-a', daemon.address, 'run', '--rm', ...lazily(), 'none', 'true'];
    assert.match((await run(ctr2, words)).stderr, /snapshotter stargz: prepare: /);
    await snapshotter.start();
    assert.match(await ctr('tasks', 'ls'), listed);
    await ctr('tasks', 'rm', '-f', 'stays');
    await ctr('containers', 'rm', 'stays');
    assert.equal(await ctr('run', '--rm', ...lazily(), 'fresh', 'cat', '/hello'), 'lazily');
  });

  test('one that hangs holds up those who use it, and nobody else', async () => {
    await ctr('images', 'pull', '--plain-http', `${registry.host}/plain:latest`);
    snapshotter.signal('SIGSTOP');
    try {
      const waits = ['-a', daemon.address, '--timeout', '2s', 'run', '--rm', ...lazily(), 'w', 'true'];
      assert.match((await run(ctr2, waits)).stderr, /deadline exceeded/i);
      const whole = await ctr('run', '--rm', `${registry.host}/plain:latest`, 'whole', 'cat', '/hello');
      assert.equal(whole, 'lazily');
    } finally {
      snapshotter.signal('SIGCONT');
    }
    assert.equal(await ctr('run', '--rm', ...lazily(), 'on', 'cat', '/hello'), 'lazily');
  });

  test('what is removed here goes there', async () => {
    for (const name of [image, `${registry.host}/plain:latest`]) await ctr('images', 'rm', '--sync', name);
    await ctr('content', 'prune', 'references');
    assert.deepEqual(await snapshots(), []);
    assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  });
});
