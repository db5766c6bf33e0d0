import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { invalidArgument, isKind } from '../../errors/error.ts';
import type { Image } from '../../metadata/image-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { labelNames } from '../../oci/label-names.ts';
import { isIndexType } from '../../oci/media-types.ts';
import type { Platform } from '../../oci/platform.ts';
import { type Documents, localDocuments } from '../documents.ts';
import type { TransferParts } from '../parts.ts';
import { planImages } from '../plan.ts';
import type { PlannedImage } from '../planned-image.ts';
import { nameDescriptor } from './layout.ts';

/** An image record and everything below it that goes into an archive. */
export interface CollectedImage {
  readonly name: string;
  /** For the archive's index: named, and with the repositories it is known to come from. */
  readonly target: Descriptor;
  readonly blobs: readonly Descriptor[];
  /** What Docker is to find under the name: the best match of the wanted platforms. */
  readonly image: PlannedImage | undefined;
}

/** @throws not_found (platform), invalid_argument (a blob is not here) */
export async function collectImage(
  parts: TransferParts,
  ctx: Context,
  { name, target }: Image,
  platforms: readonly Platform[] | 'all',
): Promise<CollectedImage> {
  const indexes: Descriptor[] = [];
  const plan = await planImages(noting(localDocuments(parts), indexes), ctx, target, {
    platforms,
    name,
    partsAlone: true,
  });
  const { images } = plan;
  const inside = images.flatMap(({ manifest, document }) => [manifest, document.config, ...document.layers]);
  for (const blob of inside) await requireBlob(parts.content, ctx, blob, name);
  for (const { descriptor } of plan.parts)
    if (await isHere(parts.content, ctx, descriptor)) inside.push(descriptor);
  return {
    name,
    target: nameDescriptor(await withSources(parts.content, ctx, target), name),
    blobs: [...indexes, ...inside],
    image: images.find(({ config }) => config !== undefined),
  };
}

/** Notes the indexes that are read on the way to the manifests. */
const noting = (documents: Documents, indexes: Descriptor[]): Documents => ({
  ...documents,
  async document(ctx, descriptor, parent) {
    const document = await documents.document(ctx, descriptor, parent);
    if (isIndexType(descriptor.mediaType)) indexes.push(descriptor);
    return document;
  },
});

async function requireBlob(
  content: ContentStore,
  ctx: Context,
  blob: Descriptor,
  name: string,
): Promise<void> {
  if (await isHere(content, ctx, blob)) return;
  throw invalidArgument(
    `image ${name}: content ${blob.digest} is not here, pull the image for this platform first`,
  );
}

async function isHere(content: ContentStore, ctx: Context, { digest }: Descriptor): Promise<boolean> {
  try {
    await content.info(ctx, digest);
    return true;
  } catch (error) {
    if (!isKind(error, 'not_found')) throw error;
    return false;
  }
}

async function withSources(content: ContentStore, ctx: Context, target: Descriptor): Promise<Descriptor> {
  const { labels } = await content.info(ctx, target.digest);
  const sources = Object.entries(labels).filter(([key]) => key.startsWith(labelNames.sourcePrefix));
  return { ...target, annotations: { ...target.annotations, ...Object.fromEntries(sources) } };
}
