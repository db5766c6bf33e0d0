import { Content, WriteAction } from '../../../src/gen/containerd/services/content/v1/content_pb.ts';
import { type Maker, maker } from '../call.ts';
import { namesOf, type World } from '../world.ts';

const digestOf = (world: World) => ({ digest: world.blob().digest });
const digests = (world: World) => world.blobs.map(({ digest }) => digest);

/** A whole write, or one that stops in the middle, goes on where another stopped, or commits what is not there. */
function write(world: World) {
  const { data, digest, ref } = world.blob();
  const size = BigInt(data.length);
  const start = {
    action: WriteAction.WRITE,
    ref,
    ...(world.chance(0.8) && { total: size }),
    ...(world.chance(0.6) && { expected: digest }),
  };
  const half = Math.floor(data.length / 2);
  const commit = {
    action: WriteAction.COMMIT,
    offset: size,
    total: size,
    expected: digest,
    labels: world.labels(),
  };
  return world.random.pick([
    [{ ...start, data }, commit],
    [{ ...start, data }, commit],
    [{ ...start, data, ...commit }],
    [{ ...start, data: data.subarray(0, half) }],
    [{ ...start, offset: BigInt(half), data: data.subarray(half) }, commit],
    [{ action: WriteAction.STAT, ref }, { action: WriteAction.WRITE, data, offset: 0n }, commit],
    [{ action: WriteAction.STAT, ref, expected: digest, total: size }],
    [{ ...start, data: data.subarray(0, half) }, commit],
    [
      { ...start, data },
      { ...commit, expected: world.blob().digest },
    ],
    [
      { ...start, data },
      { ...commit, total: size + 1n },
    ],
    [
      { ...start, data },
      { ...commit, expected: '', total: 0n },
    ],
    [{ ...start, data, offset: 7n }, commit],
    [{ ...start, data }, { action: WriteAction.WRITE, ref: world.name('ref'), offset: size }, commit],
  ]);
}

export const contentCalls: readonly Maker[] = [
  maker(Content, 'write', 12, write),
  maker(Content, 'info', 2, digestOf),
  maker(Content, 'update', 5, (world) => ({
    info: { ...digestOf(world), labels: world.labels() },
    ...world.mask(['digest', 'size']),
  })),
  maker(Content, 'list', 3, (world) => ({
    filters: world.filters(['digest', 'size', 'labels'], digests(world)),
  })),
  maker(Content, 'delete', 1, digestOf),
  maker(Content, 'read', 3, (world) => ({
    ...digestOf(world),
    ...(world.chance(0.5) && { offset: BigInt(world.random.between(0, 300)) }),
    ...(world.chance(0.5) && { size: BigInt(world.random.between(0, 300)) }),
  })),
  maker(Content, 'status', 3, (world) => ({ ref: world.name('ref') })),
  maker(Content, 'listStatuses', 2, (world) => ({ filters: world.filters(['ref'], namesOf('ref')) })),
  maker(Content, 'abort', 2, (world) => ({ ref: world.name('ref') })),
];
