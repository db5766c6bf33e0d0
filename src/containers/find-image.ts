import type { Context } from '../async/context.ts';
import { invalidArgument, isKind, notFound } from '../errors/error.ts';
import type { Image, ImageStore } from '../metadata/image-store.ts';
import { normalizeReference } from '../oci/reference.ts';

/**
 * An image by its recorded name, what people type for it (`redis`), its digest, or at least 6 first digits of that.
 * @throws not_found, invalid_argument (the digits fit several images)
 */
export async function findImage(ctx: Context, images: ImageStore, text: string): Promise<Image> {
  const found =
    (await findByName(ctx, images, text)) ??
    (await findByFamiliarName(ctx, images, text)) ??
    (await findByDigits(ctx, images, text));
  if (found === undefined) throw notFound(`image ${JSON.stringify(text.slice(0, 200))}: not found`);
  return found;
}

async function findByName(ctx: Context, images: ImageStore, name: string): Promise<Image | undefined> {
  if (name === '') return undefined;
  try {
    return await images.get(ctx, name);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

function findByFamiliarName(ctx: Context, images: ImageStore, text: string): Promise<Image | undefined> {
  const name = familiarName(text);
  return name === undefined ? Promise.resolve(undefined) : findByName(ctx, images, name);
}

function familiarName(text: string): string | undefined {
  try {
    return normalizeReference(text);
  } catch {
    return undefined; // not a reference: maybe digits
  }
}

async function findByDigits(ctx: Context, images: ImageStore, text: string): Promise<Image | undefined> {
  const digits = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const found = await images.list(ctx, [`target.digest~="^sha256:${digits}"`]);
  if (new Set(found.map((image) => image.target.digest)).size > 1)
    throw invalidArgument(`image ${digits} is ambiguous: it fits ${found.length} images`);
  return found[0];
}
