import type { Context } from '../../async/context.ts';
import { inSpan } from '../../async/span.ts';
import { invalidArgument, isKind, wrap } from '../../errors/error.ts';
import { decompress } from '../../layers/decompress.ts';
import type { Image } from '../../metadata/image-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import type { Platform } from '../../oci/platform.ts';
import { addLabels } from '../blobs.ts';
import { type Documents, localDocuments } from '../documents.ts';
import { childLabels } from '../labels.ts';
import { withLease } from '../lease.ts';
import type { TransferParts } from '../parts.ts';
import { planImages } from '../plan.ts';
import { imageFor, type PlannedImage } from '../planned-image.ts';
import type { Report, TransferProgress } from '../progress.ts';
import { reporting } from '../reporting.ts';
import { snapshotterOf, unpackImage } from '../unpack.ts';
import { indexOf } from './archive-index.ts';
import { storeContents } from './contents.ts';
import type { NamePrefix } from './names.ts';
import { recordAll } from './record.ts';

/** An archive and what to do with it. */
export interface ImportRequest {
  /** A tar, plain, gzip or zstd: an OCI layout (preferred) or a docker-archive. */
  readonly source: AsyncIterable<Uint8Array>;
  /** How to name its images. One that gets no name is not recorded. */
  readonly names: readonly NamePrefix[];
  /** Also record the archive's whole index under this name. */
  readonly indexName?: string | undefined;
  /** For the records. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: the daemon's own. */
  readonly platforms?: readonly Platform[] | 'all' | undefined;
  readonly unpack?: readonly { readonly snapshotter: string; readonly platform: Platform }[];
  /** Store plain layers of a docker-archive gzipped. */
  readonly compress?: boolean;
}

/**
 * Imports the images of an archive, streaming. Yields progress and returns the records; leaving the iteration or
 * `ctx.signal` cancels it. Failed or cancelled, it leaves no record and no lease; blobs that came are garbage.
 * @throws invalid_argument (no archive, malformed), failed_precondition (wrong bytes), not_found (platform, missing blob),
 *   resource_exhausted (limits, disk), data_loss (wrong diff ID)
 */
export function importImages(
  parts: TransferParts,
  ctx: Context,
  request: ImportRequest,
): AsyncGenerator<TransferProgress, readonly Image[], void> {
  return reporting(parts, ctx, { verb: 'import', name: '' }, (inner, report) =>
    withLease(parts.leases, inner, (leased) => importReporting(parts, leased, request, report)),
  );
}

async function importReporting(
  parts: TransferParts,
  ctx: Context,
  request: ImportRequest,
  report: Report,
): Promise<readonly Image[]> {
  report({ phase: 'importing', name: '', offset: 0, total: 0 });
  const contents = await inSpan(ctx, 'read', {}, (inner) =>
    storeContents(parts.content, inner, decompress(buffers(request.source), mediaTypes.dockerLayer)),
  );
  const { index, descriptor } = await indexOf(parts.content, ctx, contents, request.compress ?? false);
  const chosen: Descriptor[] = [];
  const refused: unknown[] = [];
  for (const child of index.manifests)
    try {
      await bringIn(parts, ctx, request, child, report);
      chosen.push(child);
    } catch (error) {
      if (!isKind(error, 'not_found')) throw error;
      refused.push(error);
      ctx.log.warn({ error, digest: child.digest }, 'image of an archive left out');
    }
  if (chosen.length === 0) throw refused[0] ?? invalidArgument('archive: holds no image');
  const images = await recordAll(parts, ctx, request, chosen, descriptor, report);
  report({ phase: 'imported', name: '', offset: 0, total: 0 });
  return images;
}

async function* buffers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of source) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** Checks that an image of the archive is whole, labels what it refers to, and unpacks it where that is asked for. */
async function bringIn(
  parts: TransferParts,
  ctx: Context,
  request: ImportRequest,
  child: Descriptor,
  report: Report,
): Promise<void> {
  const name = child.digest;
  const { platforms = [parts.platform], unpack = [] } = request;
  const options = { platforms, name, partsAlone: unpack.length === 0 };
  const { images } = await planImages(labelledDocuments(parts), ctx, child, options);
  for (const image of images) await requireBlobs(parts, ctx, image);
  for (const { snapshotter, platform } of unpack) {
    const image = findFor(images, platform, name);
    if (image === undefined) continue;
    const into = snapshotterOf(parts, snapshotter);
    const customer = { id: ctx.lease ?? name, report };
    const job = { image, snapshotter: into, customer, bring: () => ({ whole: Promise.resolve() }) };
    await inSpan(ctx, 'unpack', { digest: name, snapshotter: into.name }, (inner) =>
      unpackImage(parts, inner, job),
    );
  }
}

/** An index may list images for machines that nothing is unpacked for. */
function findFor(
  images: readonly PlannedImage[],
  platform: Platform,
  name: string,
): PlannedImage | undefined {
  const containers = images.filter(({ config }) => config !== undefined);
  try {
    return imageFor(containers, platform, name);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

function labelledDocuments(parts: TransferParts): Documents {
  const local = localDocuments(parts);
  return {
    async document(ctx, descriptor, parent) {
      const document = await local.document(ctx, descriptor, parent);
      await addLabels(parts.content, ctx, descriptor.digest, childLabels(document));
      return document;
    },
    config: (ctx, descriptor, parent) => local.config(ctx, descriptor, parent),
  };
}

async function requireBlobs(
  { content }: TransferParts,
  ctx: Context,
  { document, manifest }: PlannedImage,
): Promise<void> {
  for (const { digest } of [document.config, ...document.layers])
    try {
      await content.info(ctx, digest);
    } catch (error) {
      throw isKind(error, 'not_found')
        ? invalidArgument(`archive: content ${digest} of image ${manifest.digest} is neither in it nor here`)
        : wrap(error, `image ${manifest.digest}`);
    }
}
