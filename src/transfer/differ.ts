import type { Context } from '../async/context.ts';
import type { ContentReader, ContentStore } from '../content/store.ts';
import { failedPrecondition, isKind, notImplemented, wrap } from '../errors/error.ts';
import type { AppliedLayer } from '../layers/apply.ts';
import type { LayerLimits } from '../layers/limits.ts';
import { uncompressedLayerType } from '../layers/media-type.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { FindApplyTarget } from '../snapshots/apply-target.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import { type LayerOrder, makeLayer } from './make-layer.ts';
import { writeLayer } from './write-layer.ts';

/** A layer to write onto the mounts of an active snapshot. */
export interface LayerToApply {
  readonly layer: Descriptor;
  readonly mounts: readonly Mount[];
  /** All of the file system's data is on disk on return. */
  readonly sync: boolean;
}

/** Layers to trees of files, and back. One that does not know a media type says not_implemented. */
export interface Differ {
  /** @returns the uncompressed layer, whose digest is the diff ID @throws not_found, data_loss, failed_precondition */
  apply(ctx: Context, wanted: LayerToApply): Promise<Descriptor>;
  /** Stores what leads from `left` to `right`. @throws invalid_argument, as makeLayer */
  compare(ctx: Context, order: LayerOrder): Promise<Descriptor>;
}

/** What the daemon's own differ works on. */
export interface DiffParts {
  readonly content: ContentStore;
  readonly applyTarget: FindApplyTarget;
  readonly limits?: Partial<LayerLimits>;
}

/** The daemon's own differ, which clients call `walking`. */
export function walkingDiffer({ content, applyTarget, limits = {} }: DiffParts): Differ {
  return {
    async apply(ctx, { layer, mounts, sync }) {
      await using reader = await readerOf(content, layer.digest, ctx);
      await using written = await writeLayer(applyTarget, {
        from: reader,
        mediaType: layer.mediaType,
        mounts,
        limits,
        signal: ctx.signal,
        sync,
      });
      refuseLinks(written);
      await written.finish([]);
      return { mediaType: uncompressedLayerType, digest: written.diffId, size: written.sizeBytes };
    },
    async compare(ctx, order) {
      return (await makeLayer(content, ctx, order)).descriptor;
    },
  };
}

async function readerOf(content: ContentStore, digest: Digest, ctx: Context): Promise<ContentReader> {
  try {
    return await content.reader(ctx, digest);
  } catch (error) {
    throw wrap(error, 'failed to get reader from content store');
  }
}

/** Asks one after the other, until one implements what is asked. */
export function orderedDiffer(differs: readonly Differ[]): Differ {
  return {
    apply: (ctx, wanted) => firstOf(differs, (differ) => differ.apply(ctx, wanted)),
    compare: (ctx, order) => firstOf(differs, (differ) => differ.compare(ctx, order)),
  };
}

async function firstOf<T>(differs: readonly Differ[], ask: (differ: Differ) => Promise<T>): Promise<T> {
  let refused: unknown = notImplemented('no differ');
  for (const differ of differs) {
    try {
      return await ask(differ);
    } catch (error) {
      if (!isKind(error, 'not_implemented')) throw error;
      refused = error;
    }
  }
  throw refused;
}

/** A client that unpacks in parallel does not come back with the lower layers, so what needs them fails now. */
function refuseLinks({ unfinished }: AppliedLayer): void {
  const [link] = unfinished?.links ?? [];
  if (link !== undefined)
    throw failedPrecondition(`${JSON.stringify(link[0])} links to a lower layer: apply it on its parent`);
}
