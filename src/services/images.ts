import { invalidArgument } from '../errors/error.ts';
import { Images, type Image as Wire } from '../gen/containerd/services/images/v1/images_pb.ts';
import type { Image, ImageStore } from '../metadata/image-store.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { fromWireDescriptor, toWireDescriptor } from './descriptor-wire.ts';
import { chosenTime, toTimestamp } from './wire.ts';

/** The Images service. `sync` deletes answer when garbage collection is done. */
export function imagesService(store: ImageStore): ServiceBinding {
  return bindService(Images, {
    async get({ name }, ctx) {
      return { image: toWire(await store.get(ctx, name)) };
    },
    async list({ filters }, ctx) {
      return { images: (await store.list(ctx, filters)).map(toWire) };
    },
    async create({ image, sourceDateEpoch }, ctx) {
      const createdAt = chosenTime(sourceDateEpoch, 'source_date_epoch');
      return {
        image: toWire(await store.create(ctx, { ...fromWire(image), ...(createdAt && { createdAt }) })),
      };
    },
    async update({ image, updateMask, sourceDateEpoch }, ctx) {
      const paths = updateMask?.paths ?? [];
      const wanted = needsTarget(paths) ? fromWire(image) : { ...named(image), target: unused };
      const updatedAt = chosenTime(sourceDateEpoch, 'source_date_epoch');
      const updated = { ...wanted, ...(updatedAt && { updatedAt }) };
      return { image: toWire(await store.update(ctx, withAnnotations(updated, image), paths)) };
    },
    async delete({ name, sync, target }, ctx) {
      await store.delete(ctx, name, { sync, ...(target?.digest && { target: fromWireDescriptor(target) }) });
      return {};
    },
  });
}

/** A mask without `target` may come with no target at all. */
const needsTarget = (paths: readonly string[]): boolean => paths.length === 0 || paths.includes('target');
const unused = { mediaType: '', digest: '', size: 0 } as unknown as Image['target'];

const withAnnotations = <T extends Pick<Image, 'target'>>(image: T, wire: Wire | undefined): T => ({
  ...image,
  target: { ...image.target, annotations: { ...wire?.target?.annotations } },
});

function named(image: Wire | undefined): Pick<Image, 'name' | 'labels'> {
  if (!image?.name) throw invalidArgument('Image.Name required');
  return { name: image.name, labels: image.labels };
}

function fromWire(image: Wire | undefined): Pick<Image, 'name' | 'labels' | 'target'> {
  const { name, labels } = named(image);
  if (!image?.target) throw invalidArgument('Image.Target required');
  return { name, labels, target: fromWireDescriptor(image.target) };
}

const toWire = (image: Image) => ({
  name: image.name,
  labels: { ...image.labels },
  target: toWireDescriptor(image.target),
  createdAt: toTimestamp(image.createdAt),
  updatedAt: toTimestamp(image.updatedAt),
});
