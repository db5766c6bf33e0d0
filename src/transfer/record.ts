import type { Context } from '../async/context.ts';
import { isKind, unavailable } from '../errors/error.ts';
import type { Image, ImageStore } from '../metadata/image-store.ts';

export type NewImage = Pick<Image, 'name' | 'labels' | 'target'>;

/** Creates an image record, or points the one of that name somewhere else. Idempotent. @throws invalid_argument */
export async function recordImage(images: ImageStore, ctx: Context, image: NewImage): Promise<Image> {
  for (let tries = 0; tries < 5; tries++) {
    try {
      return await images.create(ctx, image);
    } catch (error) {
      if (!isKind(error, 'already_exists')) throw error;
    }
    try {
      return await images.update(ctx, image);
    } catch (error) {
      if (!isKind(error, 'not_found')) throw error; // removed in between: create it again
    }
  }
  throw unavailable(`image ${image.name}: keeps being created and removed`);
}
