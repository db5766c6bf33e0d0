import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { invalidArgument } from '../../errors/error.ts';
import { sniffCompression } from '../../layers/media-type.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { configLimitBytes, parseImageConfig } from '../../oci/image-config.ts';
import { arrayAt, fieldOf, objectAt, stringAt, stringsAt } from '../../oci/json-fields.ts';
import { labelNames } from '../../oci/label-names.ts';
import { type Index, type Manifest, manifestLimitBytes } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import { normalizeReference } from '../../oci/reference.ts';
import { type Json, parseStrictJson } from '../../oci/strict-json.ts';
import { readBlob } from '../blobs.ts';
import { childLabels } from '../labels.ts';
import type { ArchiveContents } from './contents.ts';
import { Ingest, type StoredBlob, storeBytes } from './ingest.ts';
import { archiveFiles, cleanPath, nameDescriptor } from './layout.ts';

const limits = { images: 1_000, layers: 1_000, tags: 1_000 } as const;
/** Docker's plain type stands for gzip too, but not for zstd. */
const layerTypes = {
  none: mediaTypes.dockerLayer,
  gzip: mediaTypes.dockerLayerGzip,
  zstd: mediaTypes.dockerLayerZstd,
} as const;

interface DockerImage {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

/**
 * Makes manifests for the images of a docker-archive (`docker save`, formats 1.1 and 1.2), which has none, and lists
 * them, once for each tag. `compress`: plain layers are stored gzipped.
 * @throws invalid_argument (manifest.json is malformed, names a file that is not there, or a bad tag)
 */
export async function indexDockerArchive(
  content: ContentStore,
  ctx: Context,
  { documents, files }: ArchiveContents,
  compress: boolean,
): Promise<Index> {
  const images = parseDockerManifest(documents.get(archiveFiles.dockerManifest) ?? new Uint8Array());
  const manifests: Descriptor[] = [];
  for (const image of images) {
    const descriptor = await storeManifest(content, ctx, files, image, compress);
    const named = image.tags.map((tag) => nameDescriptor(descriptor, normalizeReference(tag)));
    manifests.push(...(named.length > 0 ? named : [descriptor]));
  }
  return { kind: 'index', mediaType: mediaTypes.ociIndex, manifests };
}

function parseDockerManifest(bytes: Uint8Array): DockerImage[] {
  const what = archiveFiles.dockerManifest;
  const entries = arrayAt(parseStrictJson(bytes, manifestLimitBytes, what), what, limits.images);
  return entries.map((entry, i) => dockerImageAt(entry, `${what}[${i}]`));
}

function dockerImageAt(value: Json, path: string): DockerImage {
  const image = objectAt(value, path);
  const list = (name: string, max: number) => stringsAt(fieldOf(image, name) ?? [], `${path}.${name}`, max);
  return {
    config: stringAt(fieldOf(image, 'Config'), `${path}.Config`),
    tags: list('RepoTags', limits.tags),
    layers: list('Layers', limits.layers),
  };
}

async function storeManifest(
  content: ContentStore,
  ctx: Context,
  files: ReadonlyMap<string, StoredBlob>,
  image: DockerImage,
  compress: boolean,
): Promise<Descriptor> {
  const config = { mediaType: mediaTypes.dockerConfig, ...fileAt(files, image.config, 'config') };
  const layers: Descriptor[] = [];
  for (const path of image.layers)
    layers.push(await describeLayer(content, ctx, fileAt(files, path, 'layer'), compress));
  const { platform } = parseImageConfig(await readBlob(content, ctx, config, configLimitBytes));
  const manifest: Manifest = { kind: 'manifest', mediaType: mediaTypes.dockerManifest, config, layers };
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: manifest.mediaType, config, layers }),
  );
  const stored = await storeBytes(content, ctx, bytes, childLabels(manifest));
  return { mediaType: manifest.mediaType, ...stored, ...(platform.architecture !== '' && { platform }) };
}

function fileAt(files: ReadonlyMap<string, StoredBlob>, path: string, what: string): StoredBlob {
  const found = files.get(cleanPath(path));
  if (found !== undefined) return found;
  throw invalidArgument(`archive: image ${what} ${JSON.stringify(path.slice(0, 200))} not found`);
}

async function describeLayer(
  content: ContentStore,
  ctx: Context,
  layer: StoredBlob,
  compress: boolean,
): Promise<Descriptor> {
  const compression = sniffCompression(await readHead(content, ctx, layer));
  if (compression !== 'none' || !compress) return { mediaType: layerTypes[compression], ...layer };
  return { mediaType: mediaTypes.dockerLayerGzip, ...(await gzipped(content, ctx, layer)) };
}

async function readHead(content: ContentStore, ctx: Context, { digest, size }: StoredBlob): Promise<Buffer> {
  await using reader = await content.reader(ctx, digest);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.stream(0, Math.min(size, 4))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function gzipped(content: ContentStore, ctx: Context, { digest }: StoredBlob): Promise<StoredBlob> {
  await using reader = await content.reader(ctx, digest);
  await using ingest = await Ingest.open(content, ctx);
  let size = 0;
  await pipeline(
    reader.stream(),
    createGzip(),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        await ingest.write(chunk);
        size += chunk.length;
      }
    },
    { signal: ctx.signal },
  );
  return await ingest.commit(size, { [labelNames.uncompressed]: digest });
}
