import type { BerthClient, Descriptor, Image } from '../client/index.ts';
import { configLimitBytes, type ImageConfig, parseImageConfig } from '../oci/image-config.ts';
import { type Manifest, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { hostPlatform, platformMatcher } from '../oci/platform.ts';

/** An image as this machine would run it. */
export interface ImageDetail {
  readonly manifest: Manifest;
  readonly manifestDigest: string;
  readonly config: ImageConfig;
  /** The config as it is written. */
  readonly configJson: unknown;
  /** Bytes of config and layers as they were fetched. */
  readonly sizeBytes: number;
}

/**
 * Reads manifest and config of an image; undefined when none of its platforms is here.
 * @throws invalid_argument for malformed documents, unavailable
 */
export async function readImage(client: BerthClient, image: Image): Promise<ImageDetail | undefined> {
  const found = await readManifest(client, image.target);
  if (found === undefined) return undefined;
  const { manifest, digest } = found;
  const bytes = await findBytes(client, manifest.config, configLimitBytes);
  if (bytes === undefined) return undefined;
  return {
    manifest,
    manifestDigest: digest,
    config: parseImageConfig(bytes),
    configJson: JSON.parse(new TextDecoder().decode(bytes)),
    sizeBytes: manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size),
  };
}

/** An index may stand in an index, as `docker buildx` makes them when it joins images. */
const nestedIndexes = 1;

async function readManifest(
  client: BerthClient,
  target: Descriptor,
  deeper = nestedIndexes,
): Promise<{ manifest: Manifest; digest: string } | undefined> {
  const document = await readDocument(client, target);
  if (document === undefined) return undefined;
  if (document.kind === 'manifest') return { manifest: document, digest: target.digest };
  for (const child of bestFirst(document.manifests)) {
    if (isIndexType(child.mediaType) && deeper <= 0) continue;
    const found = await readManifest(client, child, deeper - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** This machine's platform first, then whatever else may be here. */
function bestFirst(children: readonly Descriptor[]): Descriptor[] {
  const matcher = platformMatcher(hostPlatform());
  const rank = ({ platform }: Descriptor): number =>
    (platform === undefined ? undefined : matcher.rank(platform)) ?? 1000;
  return children.toSorted((a, b) => rank(a) - rank(b)).slice(0, 32);
}

async function readDocument(client: BerthClient, descriptor: Descriptor) {
  const bytes = await findBytes(client, descriptor, manifestLimitBytes);
  return bytes === undefined ? undefined : parseManifest(bytes, descriptor.mediaType);
}

async function findBytes(
  client: BerthClient,
  { digest }: Descriptor,
  limitBytes: number,
): Promise<Uint8Array | undefined> {
  const { isKind } = await import('../client/index.ts');
  try {
    await using reader = await client.content.reader(client.context(), digest);
    return await reader.bytes(limitBytes);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}
