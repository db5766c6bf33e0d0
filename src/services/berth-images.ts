import type { Context } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import { Images as Service } from '../gen/berth/v1/images_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { CommitRequest } from '../transfer/commit/commit.ts';

/** berth.v1.Images: making images of containers, over the wire. */
export function berthImagesService(
  commit: (ctx: Context, request: CommitRequest) => Promise<Image>,
): ServiceBinding {
  return bindService(Service, {
    async commit({ noPause, name, ...request }, ctx) {
      if (name === '') throw invalidArgument('name must be set');
      const { target } = await commit(ctx, { ...request, name, pause: !noPause });
      return { name, digest: target.digest };
    },
  });
}
