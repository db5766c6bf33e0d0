import type { Context } from '../async/context.ts';
import type { Image, ImageStore } from '../metadata/image-store.ts';
import { type NewImage, recordImage } from './record.ts';

/**
 * Gives what `source` points at another name. The new record has `labels` only; an existing record of that name is
 * overwritten. @throws not_found (source), invalid_argument (name)
 */
export async function tag(
  images: ImageStore,
  ctx: Context,
  source: string,
  to: Omit<NewImage, 'target'>,
): Promise<Image> {
  const { target } = await images.get(ctx, source);
  return recordImage(images, ctx, { ...to, target });
}
