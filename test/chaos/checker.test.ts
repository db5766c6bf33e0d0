import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { violations } from '../kit/checker.ts';
import { startDaemon } from '../kit/daemon.ts';
import { leftovers, removeCgroups } from '../kit/leftovers.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output } from '../kit/run.ts';

test('the checker finds nothing in a daemon at rest, and everything that is planted', async () => {
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  await using daemon = await startDaemon();
  const namespace = `p${process.pid}`;
  using _cgroups = { [Symbol.dispose]: () => removeCgroups([namespace]) };
  using client = connect({ address: daemon.address, namespace });
  await client.images.pull(image).image();
  await client.containers.create({ image });
  const check = () => [
    ...violations(daemon.root, daemon.state),
    ...leftovers(daemon.root, daemon.state, [namespace]),
  ];
  assert.deepEqual(check(), []);
  const { root, state } = daemon;
  const blobs = join(root, 'content/blobs/sha256');
  const [blob = '', other = ''] = readdirSync(blobs);
  const snapshots = join(root, 'snapshots/overlayfs/snapshots');
  chmodSync(join(blobs, blob), 0o600);
  appendFileSync(join(blobs, blob), 'x');
  rmSync(join(blobs, other));
  writeFileSync(join(blobs, '0'.repeat(64)), '');
  mkdirSync(join(root, 'content/ingest', '1'.repeat(32)));
  rmSync(join(snapshots, readdirSync(snapshots)[0] ?? ''), { recursive: true });
  for (const path of [
    join(snapshots, '999'),
    join(root, 'snapshots/overlayfs/trash/999-x'),
    join(root, 'logs', namespace, 'nobody'),
    join(root, 'odd'),
    join(state, 'io.containerd.runtime.v2.task', namespace, 'nobody/rootfs'),
    join(state, 'runc', namespace, 'noone'),
    join(state, 'fifo/half'),
    join(state, 'tmp/containers-1-x/y'),
    join('/sys/fs/cgroup', readdirSync('/sys/fs/cgroup').includes('pids') ? 'pids' : '', namespace, 'ghost'),
  ])
    mkdirSync(path, { recursive: true });
  await output('mount', ['-t', 'tmpfs', 'none', join(state, 'fifo/half')]);
  const found = check().join('\n');
  for (const pattern of [
    /I2: blob sha256:\w+ holds other bytes/,
    /I3: row of blob \S+ in \w+ has no bytes/,
    /I3: blob sha256:0+ has no row/,
    /I5: ingest 1+ has no row/,
    /I3: snapshot \S+ \(\d+\) has no directory/,
    /I5: \S+999 belongs to no snapshot/,
    /I5: overlayfs has not removed 999-x/,
    /I5: logs of \w+\/nobody is left/,
    /I5: nobody knows \S+odd/,
    /I5: bundle of \w+\/nobody, which is no container/,
    /I5: bundle of \w+\/nobody has no task/,
    /I5: runtime state of \w+\/noone is left/,
    /I5: fifo directory half is nobody's/,
    /I5: left-over \S+containers-1-x/,
    /I5: cgroup of \w+\/ghost is left/,
    /I5: stray mount \S+fifo\/half/,
  ])
    assert.match(found, pattern);
});
