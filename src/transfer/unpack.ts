import { randomUUID } from 'node:crypto';
import type { Context } from '../async/context.ts';
import { TaskGroup } from '../async/task-group.ts';
import { invalidArgument, notFound } from '../errors/error.ts';
import { chainIds } from '../oci/chain-id.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ChainId, DiffId } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import { isAnyLayerType } from '../oci/media-types.ts';
import type { Platform } from '../oci/platform.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { addLabels } from './blobs.ts';
import { localDocuments } from './documents.ts';
import { isCommitted } from './extract.ts';
import { withLease } from './lease.ts';
import type { TransferParts } from './parts.ts';
import { planImages } from './plan.ts';
import { imageFor, type PlannedImage, unpackable } from './planned-image.ts';
import { type Layer, rebases, type UnpackJob, type UnpackRequest } from './unpack-job.ts';

/**
 * Makes sure an image that is in the content store is unpacked for `platform` (default: the daemon's) in a snapshotter
 * (default: the daemon's), and returns the chain ID to prepare a container on: '' for an image without layers. Idempotent.
 * @throws not_found (content, platform, snapshotter), invalid_argument (not an image), data_loss (diff ID differs)
 */
export async function ensureUnpacked(
  parts: TransferParts,
  ctx: Context,
  target: Descriptor,
  snapshotterName = '',
  platform: Platform = parts.platform,
): Promise<ChainId> {
  const snapshotter = snapshotterOf(parts, snapshotterName);
  const { images } = await planImages(localDocuments(parts), ctx, target, {
    platforms: [platform],
    name: target.digest,
  });
  const image = imageFor(images, platform, target.digest);
  const bring = (layer: Descriptor) => ({ whole: parts.content.info(ctx, layer.digest) });
  return withLease(parts.leases, ctx, (leased) =>
    unpackImage(parts, leased, {
      image,
      snapshotter,
      customer: { id: randomUUID(), report: () => {} },
      bring,
    }),
  );
}

/** The snapshotter of a name, '' being the default. @throws not_found in containerd's words */
export function snapshotterOf(parts: TransferParts, name: string): Snapshotter {
  const wanted = name === '' ? parts.defaultSnapshotter : name;
  const found = parts.snapshotters.get(wanted);
  if (found !== undefined) return found;
  throw notFound(`snapshotter not loaded: ${wanted}`);
}

/**
 * Unpacks every layer that no snapshot holds yet. All of them at once, each into a parentless snapshot of its own; then
 * they are committed base first, each on its parent. A snapshotter that cannot rebase, and another differ than Berth itself,
 * get one after the other. If one
 * fails nothing above it is committed and nothing stays behind.
 */
export async function unpackImage(
  parts: TransferParts,
  ctx: Context,
  request: UnpackRequest,
): Promise<ChainId> {
  const { image, snapshotter } = request;
  const differ = parts.differFor?.(snapshotter.name, image.platform ?? parts.platform);
  const { diffIds } = unpackable(image, differ && isAnyLayerType);
  const layers = planLayers(image, diffIds);
  const top = layers.at(-1)?.chainId ?? ('' as ChainId);
  const missing = layers.slice(await firstMissing(parts, ctx, snapshotter, layers));
  const job = { ...request, differ };
  if (rebases(job)) await unpackAtOnce(parts, ctx, job, missing);
  else await unpackInOrder(parts, ctx, job, missing);
  if (top !== '')
    await addLabels(parts.content, ctx, image.document.config.digest, {
      [`${labelNames.snapshotPrefix}${snapshotter.name}`]: top,
    });
  return top;
}

function planLayers({ document, manifest }: PlannedImage, diffIds: readonly DiffId[]): Layer[] {
  const chain = chainIds(diffIds);
  return document.layers.map((descriptor, i) => {
    const [diffId, chainId] = [diffIds[i], chain[i]];
    if (diffId === undefined || chainId === undefined)
      throw invalidArgument(`layer ${descriptor.digest}: no diff id`);
    return { descriptor, manifest, diffId, chainId, parent: chain[i - 1] ?? '' };
  });
}

/** Index of the lowest layer without a snapshot. A snapshot implies its parents. */
async function firstMissing(
  parts: TransferParts,
  ctx: Context,
  snapshotter: Snapshotter,
  layers: readonly Layer[],
): Promise<number> {
  const found = layers.map(({ chainId }) => isCommitted(parts, ctx, snapshotter, chainId));
  return (await Promise.all(found)).lastIndexOf(true) + 1;
}

async function unpackInOrder(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layers: readonly Layer[],
): Promise<void> {
  for (const layer of layers) {
    await using extracted = await parts.extractions.join(parts, ctx, request, layer);
    await extracted.commit(ctx);
  }
}

async function unpackAtOnce(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layers: readonly Layer[],
): Promise<void> {
  const group = new TaskGroup(ctx.signal);
  const inner = { ...ctx, signal: group.signal };
  const extracted = layers.map((layer) =>
    group.run(() => parts.extractions.join(parts, inner, request, layer)),
  );
  try {
    for (const extracting of extracted) {
      const one = await extracting;
      await one.commit(ctx);
      void group.run(async () => one[Symbol.asyncDispose]()); // the next layer does not wait for it
    }
  } catch (error) {
    group.fail(error);
  }
  for (const one of await Promise.allSettled(extracted))
    if (one.status === 'fulfilled') await one.value[Symbol.asyncDispose]();
  await group.join();
}
