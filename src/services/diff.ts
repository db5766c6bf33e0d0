import type { Context } from '../async/context.ts';
import type { ContentReader, ContentStore } from '../content/store.ts';
import { failedPrecondition, invalidArgument, wrap } from '../errors/error.ts';
import { Diff, type ApplyRequest as WireApply } from '../gen/containerd/services/diff/v1/diff_pb.ts';
import type { Descriptor as WireDescriptor } from '../gen/containerd/types/types_pb.ts';
import type { AppliedLayer } from '../layers/apply.ts';
import type { LayerLimits } from '../layers/limits.ts';
import { uncompressedLayerType } from '../layers/media-type.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { FindApplyTarget } from '../snapshots/apply-target.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import { makeLayer } from '../transfer/make-layer.ts';
import { writeLayer } from '../transfer/write-layer.ts';
import { toWireDescriptor } from './descriptor-wire.ts';
import { fromTimestamp } from './wire.ts';

/** What the service works on. */
export interface DiffParts {
  readonly content: ContentStore;
  readonly applyTarget: FindApplyTarget;
  readonly limits?: Partial<LayerLimits>;
}

/** The Diff service: layers onto mounts, and out of the difference of two lists of mounts. */
export function diffService(parts: DiffParts): ServiceBinding {
  return bindService(Diff, {
    async apply(request, ctx) {
      const { diffId, sizeBytes } = await apply(parts, request, ctx);
      return { applied: { mediaType: uncompressedLayerType, digest: diffId, size: BigInt(sizeBytes) } };
    },
    async diff({ left, right, mediaType, ref, labels, sourceDateEpoch }, ctx) {
      refuseNameless(left);
      refuseNameless(right);
      const latestMs = sourceDateEpoch && fromTimestamp(sourceDateEpoch).getTime();
      const wanted = { left, right, mediaType, ref, labels, latestMs };
      const { descriptor } = await makeLayer(parts.content, ctx, wanted);
      return { diff: toWireDescriptor(descriptor) };
    },
  });
}

async function apply(
  { content, applyTarget, limits = {} }: DiffParts,
  { diff, mounts, syncFs }: WireApply,
  ctx: Context,
): Promise<AppliedLayer> {
  const { digest, mediaType } = required(diff);
  refuseNameless(mounts);
  await using reader = await readerOf(content, parseDigest(digest), ctx);
  const { path } = reader;
  await using written = await writeLayer(applyTarget, {
    source: () => (path === undefined ? reader.stream() : { path }),
    mediaType,
    mounts,
    limits,
    signal: ctx.signal,
    sync: syncFs,
  });
  refuseLinks(written);
  await written.finish([]);
  return written;
}

async function readerOf(content: ContentStore, digest: Digest, ctx: Context): Promise<ContentReader> {
  try {
    return await content.reader(ctx, digest);
  } catch (error) {
    throw wrap(error, 'failed to get reader from content store');
  }
}

/** The kernel would only say ENODEV. @throws invalid_argument when a mount has no type */
function refuseNameless(mounts: readonly Mount[]): void {
  if (mounts.some(({ type }) => type === '')) throw invalidArgument('a mount has no type: invalid argument');
}

function required(diff: WireDescriptor | undefined): WireDescriptor {
  if (diff === undefined) throw invalidArgument('diff must be set: invalid argument');
  return diff;
}

/** A client that unpacks in parallel does not come back with the lower layers, so what needs them fails now. */
function refuseLinks({ unfinished }: AppliedLayer): void {
  const [link] = unfinished?.links ?? [];
  if (link !== undefined)
    throw failedPrecondition(`${JSON.stringify(link[0])} links to a lower layer: apply it on its parent`);
}
