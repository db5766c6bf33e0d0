import { Diff } from '../../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import { Snapshots } from '../../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { type Maker, maker } from '../call.ts';
import type { Side } from '../sides.ts';
import { layerBlobs, type World } from '../world.ts';

/** The layer of a blob onto the mounts that the snapshot has on that side. */
const applyTo = (world: World) => {
  const { digest, data, mediaType } = world.random.pick(layerBlobs);
  const diff = {
    digest,
    size: BigInt(data.length),
    mediaType: world.chance(0.9) ? mediaType : 'application/vnd.oci.image.layer.v1.tar+gzip',
  };
  const key = world.name('snapshot');
  const syncFs = world.chance(0.3);
  return async (side: Side, namespace: string): Promise<unknown[]> => {
    const options = { namespace, deadlineMs: 20_000 };
    const mounts = (await side.methods(Snapshots).mounts?.({ snapshotter: 'overlayfs', key }, options)) as {
      mounts: readonly unknown[];
    };
    return [await side.methods(Diff).apply?.({ diff, mounts: mounts.mounts, syncFs }, options)];
  };
};

/** Calls that need what another call answered on the same side. */
export const compositeCalls: readonly Maker[] = [
  { ...maker(Diff, 'apply', 2, () => ({})), perform: applyTo },
];
