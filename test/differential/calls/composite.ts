import type { MessageInitShape } from '@bufbuild/protobuf';
import { type ApplyRequestSchema, Diff } from '../../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import { Snapshots } from '../../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { type Maker, maker, type Perform } from '../call.ts';
import { layerBlobs, type World } from '../world.ts';

/** The layer of a blob, for the mounts of a snapshot that stands in their place. */
const layerOnto = (world: World): MessageInitShape<typeof ApplyRequestSchema> => {
  const { digest, data, mediaType } = world.random.pick(layerBlobs);
  return {
    diff: {
      digest,
      size: BigInt(data.length),
      mediaType: world.chance(0.9) ? mediaType : 'application/vnd.oci.image.layer.v1.tar+gzip',
    },
    mounts: [{ type: 'snapshot', source: world.name('snapshot') }],
    syncFs: world.chance(0.3),
  };
};

/** Applies to the mounts that the snapshot has on that side. */
const apply: Perform = async (side, namespace, [request = {}]) => {
  const options = { namespace, deadlineMs: 20_000 };
  const { mounts: [snapshot] = [] } = request as { mounts?: readonly { source?: string }[] };
  const key = snapshot?.source ?? '';
  const { mounts } = await side.ask<{ mounts: unknown }>(
    Snapshots,
    'mounts',
    { snapshotter: 'overlayfs', key },
    options,
  );
  return [await side.ask(Diff, 'apply', { ...request, mounts }, options)];
};

/** Calls that need what another call answered on the same side. */
export const compositeCalls: readonly Maker[] = [{ ...maker(Diff, 'apply', 2, layerOnto), perform: apply }];
