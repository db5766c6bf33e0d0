import type { Context } from '../async/context.ts';
import { failedPrecondition, invalidArgument, notFound, resourceExhausted } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, type Index, type Manifest, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestType, mediaTypes } from '../oci/media-types.ts';
import { formatPlatform, type Platform, platformMatcher } from '../oci/platform.ts';
import type { Origin } from './origin.ts';
import { type ChildBlob, isPartFor, lowest } from './planned-image.ts';

const limits = { indexDepth: 8, documents: 1_000 } as const;

/** A manifest or index to deliver. */
export interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly document: Manifest | Index;
}

/** What to deliver, in this order: blobs, then documents, of which every one comes after those it names. */
export interface DeliveryPlan {
  readonly blobs: readonly ChildBlob[];
  readonly documents: readonly Document[];
}

export interface DeliveryWish {
  readonly name: string;
  readonly target: Descriptor;
  readonly platforms: readonly Platform[] | 'all';
  /** Whether the destination has a document already. */
  readonly isThere: (ctx: Context, descriptor: Descriptor) => Promise<boolean>;
}

/**
 * Decides what to deliver. An index goes whole where each manifest that it names goes with it or is there already; one
 * of which a single image is wanted and here is stood in for by that image's manifest, since registries refuse an index
 * with holes; but not for one that lists parts beside its manifests (a checkpoint), which would be lost.
 * @throws not_found (content, platform), failed_precondition (several images of an incomplete index),
 *   invalid_argument (not an image), resource_exhausted
 */
export async function planDelivery(ctx: Context, origin: Origin, wish: DeliveryWish): Promise<DeliveryPlan> {
  const walk = new Walk(ctx, origin);
  await walk.add(wish.target, 0);
  const parts = [...walk.parts.keys()];
  const here = await walk.presentOf([...choose(walk.manifests, wish), ...parts]);
  const skipped = [...walk.manifests, ...parts].filter((one) => !here.includes(one));
  const holes = await missingOf(ctx, skipped, wish);
  if (holes.length === 0) return walk.plan(here, [...walk.indexes].reverse());
  const hasParts = parts.some((part) => isPartFor(part, wish.platforms));
  const [only, ...more] = here.filter((one) => !walk.parts.has(one));
  if (only !== undefined && more.length === 0 && !hasParts) return walk.plan([only], []);
  const names = holes
    .map(({ platform, digest }) => (platform ? formatPlatform(platform) : digest))
    .join(', ');
  if (only === undefined) throw notFound(`${wish.name}: content of ${names} is not here: not found`);
  throw failedPrecondition(
    `${wish.name}: content of ${names} is neither here nor at the destination; ${hasParts ? 'pull all' : 'choose one platform, or pull all'}`,
  );
}

async function missingOf(
  ctx: Context,
  skipped: readonly Descriptor[],
  wish: DeliveryWish,
): Promise<Descriptor[]> {
  const missing: Descriptor[] = [];
  for (const one of skipped) if (!(await wish.isThere(ctx, one))) missing.push(one);
  return missing;
}

/** The manifests of the wanted platforms. What declares none (a root manifest) is taken as it is. */
function choose(manifests: readonly Descriptor[], { platforms, name }: DeliveryWish): Descriptor[] {
  if (platforms === 'all' || (manifests.length === 1 && manifests[0]?.platform === undefined))
    return [...manifests];
  const chosen = platforms.flatMap((wanted) => {
    const matcher = platformMatcher(wanted);
    const best = lowest(manifests, ({ platform }) => platform && matcher.rank(platform));
    if (best !== undefined) return [best];
    const there = manifests.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []));
    throw notFound(
      `${name}: no match for platform in manifest: wanted ${formatPlatform(wanted)}, available: ${there.join(', ')}`,
    );
  });
  return [...new Set(chosen)];
}

class Walk {
  /** Manifests below the target, in order, each once. */
  readonly manifests: Descriptor[] = [];
  /** What indexes list that is neither a manifest nor an index: blobs, each with its index. */
  readonly parts = new Map<Descriptor, Descriptor>();
  /** Indexes, parents first. */
  readonly indexes: Document[] = [];
  readonly #ctx: Context;
  readonly #origin: Origin;
  readonly #seen = new Set<Digest>();

  constructor(ctx: Context, origin: Origin) {
    this.#ctx = ctx;
    this.#origin = origin;
  }

  async add(descriptor: Descriptor, depth: number, parent?: Descriptor): Promise<void> {
    if (this.#seen.has(descriptor.digest)) return;
    this.#seen.add(descriptor.digest);
    if (this.#seen.size > limits.documents)
      throw resourceExhausted(`index ${descriptor.digest}: more than ${limits.documents} documents`);
    if (isManifestType(descriptor.mediaType)) return void this.manifests.push(descriptor);
    if (!isIndexType(descriptor.mediaType)) {
      if (parent !== undefined) return void this.parts.set(descriptor, parent);
      const type = JSON.stringify(descriptor.mediaType);
      throw invalidArgument(`${descriptor.digest}: media type ${type} is neither a manifest nor an index`);
    }
    if (depth >= limits.indexDepth)
      throw invalidArgument(`index ${descriptor.digest}: nested deeper than ${limits.indexDepth}`);
    const read = await this.#read(descriptor);
    this.indexes.push(read);
    for (const child of childrenOf(read.document)) await this.add(child, depth + 1, descriptor);
  }

  /** Those that are at the origin. */
  async presentOf(wanted: readonly Descriptor[]): Promise<Descriptor[]> {
    const present: Descriptor[] = [];
    for (const one of wanted) if (await this.#origin.has(this.#ctx, one)) present.push(one);
    return present;
  }

  /** `chosen`: manifests, with all that they name, and parts. */
  async plan(chosen: readonly Descriptor[], indexes: readonly Document[]): Promise<DeliveryPlan> {
    const documents: Document[] = [];
    const blobs = new Map<Digest, ChildBlob>();
    for (const descriptor of chosen) {
      const parent = this.parts.get(descriptor);
      if (parent === undefined) documents.push(await this.#read(descriptor));
      else blobs.set(descriptor.digest, { descriptor, parent });
    }
    for (const { descriptor: parent, document } of documents)
      for (const descriptor of childrenOf(document)) blobs.set(descriptor.digest, { descriptor, parent });
    for (const [digest, { descriptor }] of blobs)
      if (isForeign(descriptor) && !(await this.#origin.has(this.#ctx, descriptor))) blobs.delete(digest);
    return { blobs: [...blobs.values()], documents: [...documents, ...indexes] };
  }

  async #read(descriptor: Descriptor): Promise<Document> {
    const bytes = await this.#origin.document(this.#ctx, descriptor);
    return { descriptor, bytes, document: parseManifest(bytes, descriptor.mediaType) };
  }
}

const foreignTypes = new Set<string>([
  mediaTypes.ociForeignLayer,
  mediaTypes.ociForeignLayerGzip,
  mediaTypes.ociForeignLayerZstd,
  mediaTypes.dockerForeignLayer,
  mediaTypes.dockerForeignLayerGzip,
]);
/** A layer that registries need not keep; others say where it is. */
const isForeign = ({ mediaType }: Descriptor): boolean => foreignTypes.has(mediaType);
