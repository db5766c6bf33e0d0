import { invalidArgument } from '../errors/error.ts';
import { Diff } from '../gen/containerd/services/diff/v1/diff_pb.ts';
import type { Descriptor as WireDescriptor } from '../gen/containerd/types/types_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseDigest } from '../oci/digest.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { Differ } from '../transfer/differ.ts';
import { toWireDescriptor } from './descriptor-wire.ts';
import { fromTimestamp } from './wire.ts';

/** The Diff service: layers onto mounts, and out of the difference of two lists of mounts. */
export function diffService(differ: Differ): ServiceBinding {
  return bindService(Diff, {
    async apply({ diff, mounts, syncFs }, ctx) {
      const layer = required(diff);
      refuseNameless(mounts);
      const { mediaType, digest, size } = await differ.apply(ctx, { layer, mounts, sync: syncFs });
      return { applied: { mediaType, digest, size: BigInt(size) } };
    },
    async diff({ left, right, mediaType, ref, labels, sourceDateEpoch }, ctx) {
      refuseNameless(left);
      refuseNameless(right);
      const latestMs = sourceDateEpoch && fromTimestamp(sourceDateEpoch).getTime();
      const wanted = { left, right, mediaType, ref, labels, latestMs };
      return { diff: toWireDescriptor(await differ.compare(ctx, wanted)) };
    },
  });
}

/** The kernel would only say ENODEV. @throws invalid_argument when a mount has no type */
function refuseNameless(mounts: readonly Mount[]): void {
  if (mounts.some(({ type }) => type === '')) throw invalidArgument('a mount has no type: invalid argument');
}

function required(diff: WireDescriptor | undefined): Descriptor {
  if (diff === undefined) throw invalidArgument('diff must be set: invalid argument');
  const { mediaType, digest, size } = diff;
  return { mediaType, digest: parseDigest(digest), size: Number(size) };
}
