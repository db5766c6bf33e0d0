import type { Context } from '../../async/context.ts';
import { isKind } from '../../errors/error.ts';
import type { Container } from '../../metadata/container-store.ts';
import { hostPlatform, platformMatcher } from '../../oci/platform.ts';
import { readImageConfig } from '../image-reader.ts';
import type { ContainerParts } from '../parts.ts';

/**
 * The first label of a container under `prefix` that its image says in the same words: old clients copy all of an image's labels, so
 * whoever made the image would have a program of his run by the daemon (CVE-2026-53488). Undefined where there is none,
 * also where the image is not here any more.
 */
export async function labelOfImage(
  ctx: Context,
  { images, content }: Pick<ContainerParts, 'images' | 'content'>,
  { image, labels }: Container,
  prefix: string,
): Promise<string | undefined> {
  if (image === '') return undefined;
  try {
    const { target } = await images.get(ctx, image);
    const { process } = await readImageConfig(ctx, content, target, platformMatcher(hostPlatform()));
    const names = Object.keys(labels).filter((name) => name.startsWith(prefix));
    return names.find((name) => Object.hasOwn(process.labels, name) && process.labels[name] === labels[name]);
  } catch (error) {
    if (isKind(error, 'not_found') || isKind(error, 'invalid_argument')) return undefined;
    throw error;
  }
}
