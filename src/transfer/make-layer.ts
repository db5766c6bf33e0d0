import { randomBytes } from 'node:crypto';
import type { Context } from '../async/context.ts';
import type { ContentStore, ContentWriter } from '../content/store.ts';
import { isKind, notImplemented } from '../errors/error.ts';
import { type DiffRequest, diffLayer, type MadeLayer } from '../layers/diff/diff.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { DiffId, Digest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import { findLayerCompression, mediaTypes } from '../oci/media-types.ts';
import { addLabels } from './blobs.ts';
import { undo } from './lease.ts';

/** A layer to be made of the difference of two trees and kept as content. */
export interface LayerOrder extends Pick<DiffRequest, 'left' | 'right' | 'latestMs'> {
  /** A layer media type; '' for OCI's with gzip. */
  readonly mediaType?: string;
  /** Name of the ingest; made up when empty. */
  readonly ref?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The layer's descriptor and what it is uncompressed. */
export interface KeptLayer {
  readonly descriptor: Descriptor;
  readonly diffId: DiffId;
}

/**
 * Makes a layer and puts it into the content store, under the caller's lease. A layer that is there already gets the
 * labels it lacks. Nothing is left of one that could not be finished,
 * but the caller's own ingest where it began one.
 * @throws not_implemented (no layer media type), and what diffLayer and the store throw
 */
export async function makeLayer(content: ContentStore, ctx: Context, order: LayerOrder): Promise<KeptLayer> {
  const mediaType = order.mediaType || mediaTypes.ociLayerGzip;
  const compression = findLayerCompression(mediaType);
  if (compression === undefined)
    throw notImplemented(`unsupported diff media type: ${mediaType.slice(0, 200)}: not implemented`);
  const ref = order.ref || `diff-${randomBytes(12).toString('hex')}`;
  const request = { ...order, compression, signal: ctx.signal };
  const kept = await isThere(content, ctx, ref);
  try {
    await using writer = await content.writer(ctx, { ref });
    const made = await fill(writer, request);
    const labels = {
      ...order.labels,
      ...(compression !== 'none' && { [labelNames.uncompressed]: made.diffId }),
    };
    const digest = await commit(content, ctx, writer, labels);
    return { descriptor: { mediaType, digest, size: writer.status.offset }, diffId: made.diffId };
  } catch (error) {
    if (!kept && !isKind(error, 'unavailable'))
      await undo(ctx, 'drop ingest', (late) => content.abort(late, ref));
    throw error;
  }
}

async function isThere(content: ContentStore, ctx: Context, ref: string): Promise<boolean> {
  try {
    await content.status(ctx, ref);
    return true;
  } catch (error) {
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

async function fill(writer: ContentWriter, request: DiffRequest): Promise<MadeLayer> {
  const making = diffLayer(request);
  try {
    for (let first = true; ; first = false) {
      const { done, value } = await making.next();
      if (first && writer.status.offset > 0) await writer.truncate(0);
      if (done) return value;
      await writer.write(value);
    }
  } finally {
    await making.return(undefined as never);
  }
}

async function commit(
  content: ContentStore,
  ctx: Context,
  writer: ContentWriter,
  labels: Readonly<Record<string, string>>,
): Promise<Digest> {
  const expected = await writer.digest();
  try {
    return await writer.commit({ expected, labels });
  } catch (error) {
    if (!isKind(error, 'already_exists')) throw error;
    await addLabels(content, ctx, expected, labels);
    return expected;
  }
}
