import { createHash } from 'node:crypto';
import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { dataLoss, invalidArgument } from '../../errors/error.ts';
import { memberHeader, padding } from '../../layers/diff/member-header.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { algorithmOf, type Digest } from '../../oci/digest.ts';
import { isNonDistributable, mediaTypes } from '../../oci/media-types.ts';
import type { Platform } from '../../oci/platform.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import { withLease } from '../lease.ts';
import type { TransferParts } from '../parts.ts';
import type { Report } from '../progress.ts';
import { type CollectedImage, collectImage } from './collect.ts';
import { archiveFiles, blobPath } from './layout.ts';

/** Which images go into an archive, and how. */
export interface ExportRequest {
  /** Names of image records. */
  readonly names: readonly string[];
  /** Platforms to take of an index. Default: the daemon's own; `all` needs all of them to be here. */
  readonly platforms?: readonly Platform[] | 'all' | undefined;
  /** Leave out the list that Docker reads. Default false. */
  readonly skipDockerManifest?: boolean;
  /** Leave out layers whose type forbids to distribute them. Default false. */
  readonly skipNonDistributable?: boolean;
}

/** Takes the next bytes of an archive; a promise that waits is back-pressure. */
export type ArchiveSink = (chunk: Uint8Array) => Promise<void>;

const maxImages = 1_000;

/**
 * Writes images as a tar that is an OCI layout and a docker-archive at once. Equal images give equal bytes; every blob
 * is verified as it passes and leased until the end. Nothing is written before everything is found.
 * @throws not_found (image, platform), invalid_argument (no image, a blob is not here), data_loss (damaged blob)
 */
export async function exportImages(
  parts: TransferParts,
  ctx: Context,
  request: ExportRequest,
  write: ArchiveSink,
  report: Report,
): Promise<void> {
  const names = [...new Set(request.names)];
  if (names.length === 0) throw invalidArgument('no image to export');
  if (names.length > maxImages)
    throw invalidArgument(`${names.length} images, at most ${maxImages} at a time`);
  await withLease(parts.leases, ctx, async (leased) => {
    const images: CollectedImage[] = [];
    report({ phase: 'exporting', name: '', offset: 0, total: 0 });
    for (const name of names) images.push(await collect(parts, leased, name, request));
    await writeDocuments(images, request, write);
    await writeBlobs(parts.content, leased, images, write);
    await write(Buffer.alloc(1024));
    report({ phase: 'exported', name: '', offset: 0, total: 0 });
  });
}

/** Leases what an image consists of, then looks whether it is all here. */
async function collect(
  parts: TransferParts,
  ctx: Context & { readonly lease: string },
  name: string,
  { platforms = [parts.platform], skipNonDistributable = false }: ExportRequest,
): Promise<CollectedImage> {
  const image = await parts.images.get(ctx, name);
  await parts.leases.addResource(ctx, ctx.lease, { id: image.target.digest, type: 'content' });
  const collected = await collectImage(parts, ctx, image, platforms);
  if (!skipNonDistributable) return collected;
  return { ...collected, blobs: collected.blobs.filter(({ mediaType }) => !isNonDistributable(mediaType)) };
}

async function writeDocuments(
  images: readonly CollectedImage[],
  { skipDockerManifest = false }: ExportRequest,
  write: ArchiveSink,
): Promise<void> {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: images.map(({ target }) => target),
  };
  await writeJson(archiveFiles.layout, { imageLayoutVersion: '1.0.0' }, write);
  await writeJson(archiveFiles.index, index, write);
  const docker = dockerList(images);
  if (!skipDockerManifest && docker.length > 0) await writeJson(archiveFiles.dockerManifest, docker, write);
}

async function writeJson(path: string, value: unknown, write: ArchiveSink): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(value));
  const sizeBytes = bytes.length;
  await write(Buffer.concat([fileHeader(path, sizeBytes), bytes, padding(sizeBytes)]));
}

interface DockerImage {
  readonly Config: string;
  readonly RepoTags: string[];
  readonly Layers: readonly string[];
}

/** What `docker load` reads: one entry for each image, under all its names. */
function dockerList(images: readonly CollectedImage[]): DockerImage[] {
  const entries = new Map<Digest, DockerImage>();
  for (const { name, image } of images) {
    if (image === undefined) continue;
    const { config, layers } = image.document;
    const entry = entries.get(image.manifest.digest) ?? {
      Config: blobPath(config.digest),
      RepoTags: [],
      Layers: layers.map(({ digest }) => blobPath(digest)),
    };
    entry.RepoTags.push(...dockerTag(name));
    entries.set(image.manifest.digest, entry);
  }
  return [...entries.values()];
}

/** Docker takes no name without a tag, and no digest for one. */
function dockerTag(name: string): string[] {
  try {
    const reference = parseReference(name);
    return reference.tag === undefined || reference.digest !== undefined
      ? []
      : [familiarReference(reference)];
  } catch {
    return [];
  }
}

async function writeBlobs(
  content: ContentStore,
  ctx: Context,
  images: readonly CollectedImage[],
  write: ArchiveSink,
): Promise<void> {
  const blobs = new Map(images.flatMap(({ blobs }) => blobs.map((blob) => [blob.digest, blob] as const)));
  const directories = new Set([...blobs.keys()].map((digest) => `blobs/${algorithmOf(digest)}/`));
  for (const path of ['blobs/', ...directories]) await write(directoryHeader(path));
  for (const blob of blobs.values()) await writeBlob(content, ctx, blob, write);
}

async function writeBlob(
  content: ContentStore,
  ctx: Context,
  { digest, size }: Descriptor,
  write: ArchiveSink,
): Promise<void> {
  await using reader = await content.reader(ctx, digest);
  if (reader.sizeBytes !== size)
    throw dataLoss(`content ${digest}: has ${reader.sizeBytes} bytes, described with ${size}`);
  const hash = createHash(algorithmOf(digest));
  await write(fileHeader(blobPath(digest), size));
  for await (const chunk of reader.stream()) {
    ctx.signal.throwIfAborted();
    hash.update(chunk);
    await write(chunk);
  }
  const found = `${algorithmOf(digest)}:${hash.digest('hex')}`;
  if (found !== digest) throw dataLoss(`content ${digest}: its bytes are those of ${found}`);
  await write(padding(size));
}

/** No owner and no time, so that equal archives have equal bytes. */
const anonymous = { uid: 0, gid: 0, mtimeNs: 0n } as const;
const fileHeader = (name: string, sizeBytes: number): Buffer =>
  memberHeader({ ...anonymous, name, flag: '0', mode: 0o444, sizeBytes });
const directoryHeader = (name: string): Buffer =>
  memberHeader({ ...anonymous, name, flag: '5', mode: 0o755, sizeBytes: 0 });
