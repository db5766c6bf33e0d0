import { Diff } from '../../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import { Snapshots } from '../../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { type Maker, maker } from '../call.ts';
import { namesOf, type World } from '../world.ts';

/** Mostly one snapshotter, so that calls meet what others made. */
const snapshotter = (world: World) => (world.chance(0.8) ? 'overlayfs' : 'native');
const keyed = (world: World) => ({ snapshotter: snapshotter(world), key: world.name('snapshot') });

const made = (world: World) => ({
  ...keyed(world),
  ...(world.chance(0.4) && { parent: world.name('snapshot') }),
  labels: world.labels(),
});

export const snapshotCalls: readonly Maker[] = [
  maker(Snapshots, 'prepare', 6, made),
  maker(Snapshots, 'view', 2, made),
  maker(Snapshots, 'mounts', 3, keyed),
  maker(Snapshots, 'commit', 5, (world) => ({
    ...keyed(world),
    name: world.name('snapshot'),
    labels: world.labels(),
    ...(world.chance(0.2) && { parent: world.name('snapshot') }),
  })),
  maker(Snapshots, 'remove', 2, keyed),
  maker(Snapshots, 'stat', 3, keyed),
  maker(Snapshots, 'update', 4, (world) => ({
    snapshotter: snapshotter(world),
    info: { name: world.name('snapshot'), labels: world.labels() },
    ...world.mask(['name', 'parent', 'kind']),
  })),
  maker(Snapshots, 'list', 3, (world) => ({
    snapshotter: snapshotter(world),
    filters: world.filters(
      ['name', 'parent', 'kind', 'labels'],
      [...namesOf('snapshot'), 'active', 'committed'],
    ),
  })),
  maker(Snapshots, 'usage', 2, keyed),
  maker(Snapshots, 'cleanup', 1, (world) => ({ snapshotter: snapshotter(world) })),
];

const nowhere = { type: 'bind', source: '/nowhere/at/all', options: ['rbind', 'ro'] };

export const diffCalls: readonly Maker[] = [
  maker(Diff, 'apply', 1, (world) => ({
    diff: { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: world.blob().digest, size: 1n },
    mounts: [nowhere],
  })),
  maker(Diff, 'diff', 1, (world) => ({
    left: [nowhere],
    right: [nowhere],
    mediaType: world.random.pick(['', 'nothing/known', 'application/vnd.oci.image.layer.v1.tar']),
    // Of its own: containerd mounts before it opens an ingest, and leaves one that is there to its lease.
    ref: world.random.pick(['diff-0', 'diff-1']),
  })),
];
