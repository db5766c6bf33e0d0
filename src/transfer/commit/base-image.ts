import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { failedPrecondition, isKind } from '../../errors/error.ts';
import type { Container } from '../../metadata/container-store.ts';
import { chainIds } from '../../oci/chain-id.ts';
import type { Digest } from '../../oci/digest.ts';
import { configLimitBytes, parseImageConfig } from '../../oci/image-config.ts';
import { labelNames } from '../../oci/label-names.ts';
import { type Manifest, manifestLimitBytes, parseManifest } from '../../oci/manifest.ts';
import { localDocuments } from '../documents.ts';
import type { TransferParts } from '../parts.ts';
import { planImages } from '../plan.ts';
import { imageFor } from '../planned-image.ts';

/** The image a container stands on. */
export interface BaseImage {
  readonly manifest: Manifest;
  /** Its config as it is written, so that what Berth does not know is kept. */
  readonly config: Uint8Array;
}

/**
 * The image that the snapshot `parent` is of: the one the container's record names or, where that name has moved on,
 * any other that is here. @throws failed_precondition (none is here)
 */
export async function findBase(
  parts: TransferParts,
  ctx: Context,
  container: Container,
  parent: string,
): Promise<BaseImage> {
  const named = await namedImage(parts, ctx, container, parent);
  const base = named ?? (await imageOfSnapshot(parts.content, ctx, container.snapshotter, parent));
  if (base !== undefined) return base;
  throw failedPrecondition(
    `the image of container ${container.id} is not here: pull ${container.image} again`,
  );
}

async function namedImage(
  parts: TransferParts,
  ctx: Context,
  { image }: Container,
  parent: string,
): Promise<BaseImage | undefined> {
  try {
    const { target } = await parts.images.get(ctx, image);
    const options = { platforms: [parts.platform], name: image };
    const plan = await planImages(localDocuments(parts), ctx, target, options);
    const { document } = imageFor(plan.images, parts.platform, image);
    return await baseOf(parts.content, ctx, document, parent);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

/** By the labels that unpacking leaves: snapshot ◀ config ◀ manifest. */
async function imageOfSnapshot(
  content: ContentStore,
  ctx: Context,
  snapshotter: string,
  parent: string,
): Promise<BaseImage | undefined> {
  if (parent === '') return undefined;
  const configs = await content.list(ctx, [`labels."${labelNames.snapshotPrefix}${snapshotter}"==${parent}`]);
  for (const { digest } of configs)
    for (const manifest of await content.list(ctx, [`labels."${labelNames.childPrefix}config"==${digest}`])) {
      const document = parseManifest(await read(content, ctx, manifest.digest, manifestLimitBytes));
      const base = document.kind === 'manifest' ? await baseOf(content, ctx, document, parent) : undefined;
      if (base) return base;
    }
  return undefined;
}

async function baseOf(
  content: ContentStore,
  ctx: Context,
  manifest: Manifest,
  parent: string,
): Promise<BaseImage | undefined> {
  const config = await read(content, ctx, manifest.config.digest, configLimitBytes);
  const chain = chainIds(parseImageConfig(config).diffIds).at(-1) ?? '';
  return chain === parent ? { manifest, config } : undefined;
}

async function read(content: ContentStore, ctx: Context, digest: Digest, limit: number): Promise<Uint8Array> {
  await using reader = await content.reader(ctx, digest);
  return await reader.bytes(limit);
}
