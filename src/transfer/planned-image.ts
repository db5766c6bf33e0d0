import { invalidArgument, notFound, notImplemented } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import type { Manifest } from '../oci/manifest.ts';
import { isConfigType, isLayerType, mediaTypes } from '../oci/media-types.ts';
import { formatPlatform, type Platform, type PlatformMatcher, platformMatcher } from '../oci/platform.ts';

/** One image manifest that was chosen. */
export interface PlannedImage {
  readonly manifest: Descriptor;
  readonly document: Manifest;
  /** Undefined when the manifest is no container image (another config type). */
  readonly config: ImageConfig | undefined;
  /** As the index declares it, else as the config says; undefined when neither does. */
  readonly platform: Platform | undefined;
}

/** A blob, and the manifest or index that lists it. */
export interface ChildBlob {
  readonly descriptor: Descriptor;
  readonly parent: Descriptor;
}

/**
 * Whether a blob that an index lists (a part of a checkpoint) goes with the images of `platforms`: it declares no
 * platform, or one of these.
 */
export const isPartFor = ({ platform }: Descriptor, platforms: readonly Platform[] | 'all'): boolean =>
  platforms === 'all' ||
  platforms.some((wanted) => rankOfSilent(platform, platformMatcher(wanted)) !== undefined);

/** The item of the lowest rank; items without a rank are out. */
export function lowest<T>(items: readonly T[], rank: (item: T) => number | undefined): T | undefined {
  const ranked = items.map((item) => ({ item, rank: rank(item) ?? Number.POSITIVE_INFINITY }));
  const best = ranked.toSorted((a, b) => a.rank - b.rank)[0];
  return best === undefined || best.rank === Number.POSITIVE_INFINITY ? undefined : best.item;
}

/** What says nothing about its architecture, or is no container image, is not refused for it. */
export function rankOfSilent(platform: Platform | undefined, matcher: PlatformMatcher): number | undefined {
  if (platform === undefined || platform.architecture === '') return Number.MAX_SAFE_INTEGER;
  return matcher.rank(platform);
}

/** An image config, or the `application/octet-stream` that old registries made of one (distribution#1622). */
export function isImage({ mediaType, config }: Manifest): boolean {
  const legacy = mediaType === mediaTypes.dockerManifest && config.mediaType === 'application/octet-stream';
  return isConfigType(config.mediaType) || legacy;
}

/**
 * An image that can be unpacked: its config, and as many layers as the config has diff IDs. `packed`: which media types of
 * layers can be; default those that Berth knows. @throws invalid_argument, not_implemented
 */
export function unpackable(
  { manifest, document, config }: PlannedImage,
  packed: (mediaType: string) => boolean = isLayerType,
): ImageConfig {
  if (config === undefined)
    throw invalidArgument(
      `${manifest.digest}: not a container image but ${JSON.stringify(document.artifactType ?? document.config.mediaType)}`,
    );
  const odd = document.layers.find((layer) => !packed(layer.mediaType));
  if (odd !== undefined)
    throw notImplemented(`layer ${odd.digest}: media type ${JSON.stringify(odd.mediaType)}`);
  const [layers, diffIds] = [document.layers.length, config.diffIds.length];
  if (layers === diffIds) return config;
  throw invalidArgument(
    `${manifest.digest}: number of layers and diffIDs don't match: ${layers} != ${diffIds}`,
  );
}

/** The planned image that runs on `platform`. @throws not_found */
export function imageFor(images: readonly PlannedImage[], platform: Platform, name: string): PlannedImage {
  const matcher = platformMatcher(platform);
  const found = lowest(images, (image) => rankOfSilent(image.platform, matcher));
  if (found !== undefined) return found;
  throw notFound(`${name}: no match for platform in manifest: wanted ${formatPlatform(platform)}`);
}
