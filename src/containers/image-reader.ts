import type { Context } from '../async/context.ts';
import type { ContentStore } from '../content/store.ts';
import { invalidArgument, notFound } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { configLimitBytes, type ImageConfig, parseImageConfig } from '../oci/image-config.ts';
import { type Manifest, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import type { PlatformMatcher } from '../oci/platform.ts';

const maxIndexDepth = 8;

/** The config of an image for the best platform of `matcher`. @throws not_found (content or platform), invalid_argument */
export async function readImageConfig(
  ctx: Context,
  content: ContentStore,
  target: Descriptor,
  matcher: PlatformMatcher,
): Promise<ImageConfig> {
  const manifest = await readManifest(ctx, content, target, matcher, 0);
  return parseImageConfig(await read(ctx, content, manifest.config, configLimitBytes));
}

async function readManifest(
  ctx: Context,
  content: ContentStore,
  target: Descriptor,
  matcher: PlatformMatcher,
  depth: number,
): Promise<Manifest> {
  if (depth > maxIndexDepth) throw invalidArgument(`index nested deeper than ${maxIndexDepth} levels`);
  const document = parseManifest(await read(ctx, content, target, manifestLimitBytes), target.mediaType);
  if (document.kind === 'manifest') return document;
  const best = choose(document.manifests, matcher);
  if (best === undefined) throw notFound(`${target.digest} has no manifest for this platform: not found`);
  return readManifest(ctx, content, best, matcher, depth + 1);
}

/** The first of the best rank; manifests that name no platform come last. */
function choose(manifests: readonly Descriptor[], matcher: PlatformMatcher): Descriptor | undefined {
  const ranked = manifests.flatMap((manifest) => {
    const rank = manifest.platform === undefined ? Number.MAX_VALUE : matcher.rank(manifest.platform);
    return rank === undefined ? [] : [{ manifest, rank }];
  });
  return ranked.toSorted((a, b) => a.rank - b.rank)[0]?.manifest;
}

async function read(
  ctx: Context,
  content: ContentStore,
  { digest }: Descriptor,
  limit: number,
): Promise<Uint8Array> {
  await using reader = await content.reader(ctx, digest);
  return await reader.bytes(limit);
}
