import type { Context } from '../async/context.ts';
import { Limiter } from '../async/limiter.ts';
import { invalidArgument, messageOf, notFound, resourceExhausted } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Index } from '../oci/manifest.ts';
import { isIndexType, isManifestType } from '../oci/media-types.ts';
import { formatPlatform, type Platform, type PlatformMatcher, platformMatcher } from '../oci/platform.ts';
import type { Documents } from './documents.ts';
import {
  type ChildBlob,
  isImage,
  isPartFor,
  lowest,
  type PlannedImage,
  rankOfSilent,
} from './planned-image.ts';

const limits = { indexDepth: 8, documents: 1_000, listedPlatforms: 20, parallelReads: 4 } as const;

export interface PlanOptions {
  /** Wanted platforms, or every one there is. */
  readonly platforms: readonly Platform[] | 'all';
  /** Most images to take, those that say their platform first; 0: any number. Default 0. */
  readonly limit?: number | undefined;
  /** An index of parts without any image will do: what is no more than the processes of a checkpoint. Default false. */
  readonly partsAlone?: boolean;
  /** For error messages. */
  readonly name: string;
}

interface Candidate {
  readonly descriptor: Descriptor;
  readonly parent: Descriptor | undefined;
  readonly platform: Platform | undefined;
}

/**
 * Decides what an image is made of: walks its indexes, chooses manifests by platform and reads manifests and configs.
 * No layer is touched. For each wanted platform the best-ranked manifest is chosen; what declares no platform is looked
 * into only when nothing declared fits.
 * @throws not_found (no such platform; says which there are), invalid_argument (nested too deep, not an image),
 *   resource_exhausted (too many documents)
 */
export async function planImages(
  documents: Documents,
  ctx: Context,
  target: Descriptor,
  options: PlanOptions,
): Promise<Plan> {
  const planner = new Planner(documents, ctx);
  await planner.walk(target, undefined, 0);
  const images = await planner.choose(options);
  return {
    images,
    parts: planner.parts.filter(({ descriptor }) => isPartFor(descriptor, options.platforms)),
    readOthers: (signal) => planner.readOthers(images, signal),
  };
}

export interface Plan {
  readonly images: readonly PlannedImage[];
  /** What indexes list that is neither a manifest nor an index, as those of checkpoints do: blobs. */
  readonly parts: readonly ChildBlob[];
  /** Also reads manifests and configs of the platforms that are not wanted, as far as that works. */
  readOthers(signal: AbortSignal): Promise<void>;
}

class Planner {
  readonly parts: ChildBlob[] = [];
  readonly #documents: Documents;
  readonly #ctx: Context;
  readonly #candidates: Candidate[] = [];
  readonly #images = new Map<Candidate, Promise<PlannedImage>>();
  #count = 0;

  constructor(documents: Documents, ctx: Context) {
    this.#documents = documents;
    this.#ctx = ctx;
  }

  /** Collects every manifest and every part below `descriptor`. */
  async walk(descriptor: Descriptor, parent: Descriptor | undefined, depth: number): Promise<void> {
    if (isManifestType(descriptor.mediaType))
      return void this.#candidates.push({ descriptor, parent, platform: descriptor.platform });
    if (!isIndexType(descriptor.mediaType)) return this.#addPart(descriptor, parent);
    if (depth >= limits.indexDepth)
      throw invalidArgument(`index ${descriptor.digest}: nested deeper than ${limits.indexDepth}`);
    if (++this.#count > limits.documents)
      throw resourceExhausted(`index ${descriptor.digest}: more than ${limits.documents} documents`);
    const index = (await this.#documents.document(this.#ctx, descriptor, parent)) as Index;
    for (const child of index.manifests) await this.walk(child, descriptor, depth + 1);
  }

  #addPart(descriptor: Descriptor, parent: Descriptor | undefined): void {
    if (parent === undefined) throw notAnImage(descriptor);
    if (++this.#count > limits.documents)
      throw resourceExhausted(`index ${parent.digest}: more than ${limits.documents} documents and parts`);
    this.parts.push({ descriptor, parent });
  }

  async choose({ platforms, name, limit = 0, partsAlone = false }: PlanOptions): Promise<PlannedImage[]> {
    if (partsAlone && this.#candidates.length === 0 && this.parts.length > 0) return [];
    const chosen = new Set<PlannedImage>();
    if (platforms === 'all')
      for (const candidate of limited(this.#declaredFirst(), limit)) chosen.add(await this.#image(candidate));
    else
      for (const platform of platforms) {
        const best = await this.#best(platformMatcher(platform));
        if (best !== undefined) chosen.add(best);
      }
    if (chosen.size > 0) return limited([...chosen], limit);
    throw notFound(`${name}: no match for platform in manifest: ${await this.#explain(platforms)}`);
  }

  #declaredFirst(): Candidate[] {
    const declares = ({ platform }: Candidate) => (platform === undefined ? 1 : 0);
    return this.#candidates.toSorted((a, b) => declares(a) - declares(b));
  }

  async readOthers(chosen: readonly PlannedImage[], signal: AbortSignal): Promise<void> {
    const known = new Set(chosen.map(({ manifest }) => manifest.digest));
    const others = this.#candidates.filter(({ descriptor }) => !known.has(descriptor.digest));
    const limit = new Limiter(limits.parallelReads);
    await Promise.all(others.map((candidate) => this.#readOther(candidate, limit, signal)));
  }

  async #readOther(candidate: Candidate, limit: Limiter, signal: AbortSignal): Promise<void> {
    using _ = await limit.acquire(signal);
    try {
      await this.#image(candidate);
    } catch (error) {
      signal.throwIfAborted();
      this.#ctx.log.warn(
        { digest: candidate.descriptor.digest, err: messageOf(error) },
        'metadata of another platform not read',
      );
    }
  }

  async #best(matcher: PlatformMatcher): Promise<PlannedImage | undefined> {
    const declared = this.#candidates.filter((candidate) => candidate.platform !== undefined);
    const best = lowest(declared, ({ platform }) => platform && matcher.rank(platform));
    if (best !== undefined) return this.#image(best);
    const silent = this.#candidates.filter((candidate) => candidate.platform === undefined);
    const images = await Promise.all(silent.map((candidate) => this.#image(candidate)));
    return lowest(images, ({ platform }) => rankOfSilent(platform, matcher));
  }

  #image(candidate: Candidate): Promise<PlannedImage> {
    const known = this.#images.get(candidate);
    if (known !== undefined) return known;
    if (++this.#count > limits.documents)
      throw resourceExhausted(
        `manifest ${candidate.descriptor.digest}: more than ${limits.documents} documents`,
      );
    const image = this.#read(candidate);
    this.#images.set(candidate, image);
    return image;
  }

  async #read({ descriptor, parent, platform }: Candidate): Promise<PlannedImage> {
    const document = await this.#documents.document(this.#ctx, descriptor, parent);
    if (document.kind !== 'manifest') throw invalidArgument(`manifest ${descriptor.digest}: is an index`);
    const config = isImage(document)
      ? await this.#documents.config(this.#ctx, document.config, descriptor)
      : undefined;
    return { manifest: descriptor, document, config, platform: platform ?? config?.platform };
  }

  async #explain(wanted: readonly Platform[] | 'all'): Promise<string> {
    if (this.#candidates.length === 0) return 'it lists no image manifest';
    const there = await Promise.all(
      this.#candidates.slice(0, limits.listedPlatforms).map((c) => this.#name(c)),
    );
    const names = [...new Set(there)].filter((name) => name !== 'unknown/unknown');
    const asked = wanted === 'all' ? 'any' : wanted.map(formatPlatform).join(', ');
    return `wanted ${asked}, available: ${names.join(', ') || 'none'}`;
  }

  async #name(candidate: Candidate): Promise<string> {
    const platform = candidate.platform ?? (await this.#image(candidate)).platform;
    return platform === undefined ? 'not an image' : formatPlatform(platform);
  }
}

const limited = <T>(all: readonly T[], limit: number): T[] => (limit === 0 ? [...all] : all.slice(0, limit));

const notAnImage = ({ mediaType, digest }: Descriptor) =>
  invalidArgument(`${digest}: media type ${JSON.stringify(mediaType)} is neither a manifest nor an index`);
