import { alreadyExists, dataLoss, isKind } from '../errors/error.ts';
import { Images as BerthImages } from '../gen/berth/v1/images_pb.ts';
import {
  Images as ImagesService,
  type Image as WireImage,
} from '../gen/containerd/services/images/v1/images_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import { normalizeReference } from '../oci/reference.ts';
import { type LoadOptions, loadArchive, type SaveOptions, saveArchive } from './archives.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fromDescriptor, toDate, toDescriptor } from './convert.ts';
import { type Pull, type PullOptions, startPull } from './pull.ts';
import { type CopyOptions, type Push, type PushOptions, startCopy, startPush } from './push.ts';
import type { TransferProgress } from './transfer.ts';

/**
 * The image records of the connection's namespace. References may be written as people type them: `redis` is
 * `docker.io/library/redis:latest`.
 */
export interface Images {
  /** By any of containerd's filters over name, target.digest, target.mediatype, labels; none = all. */
  list(filters?: readonly string[], options?: CallOptions): Promise<Image[]>;
  /** @throws not_found */
  get(reference: string, options?: CallOptions): Promise<Image>;
  /** Fetches and unpacks an image. Starts when it is first iterated or its image is asked for. */
  pull(reference: string, options?: PullOptions): Pull;
  /**
   * Loads the images of an archive (OCI layout or docker-archive; plain, gzip or zstd) and returns their records.
   * `onProgress` is told what goes on. @throws invalid_argument, failed_precondition, not_found (platform)
   */
  load(
    archive: AsyncIterable<Uint8Array>,
    options?: LoadOptions & { readonly onProgress?: (step: TransferProgress) => void },
  ): Promise<Image[]>;
  /** An archive of these images that is an OCI layout and a docker-archive at once. @throws not_found, invalid_argument */
  save(references: readonly string[], options?: SaveOptions): AsyncIterable<Uint8Array>;
  /** Brings an image to a registry. Starts when it is first iterated or its digest is asked for. */
  push(reference: string, options?: PushOptions): Push;
  /** Copies an image from one registry to another; the daemon stores nothing of it. Starts as {@link push} does. */
  copy(source: string, destination: string, options?: CopyOptions): Push;
  /**
   * Makes an image of what a container has written on top of its own image, ready to run. One of that name is replaced.
   * @throws not_found, failed_precondition (its image is not here), invalid_argument (changes)
   */
  commit(containerId: string, reference: string, options?: CommitOptions): Promise<Image>;
  /** Gives an image a second name. `force` replaces one that exists. @throws not_found, already_exists */
  tag(source: string, target: string, options?: CallOptions & { force?: boolean }): Promise<Image>;
  /** Forgets the name; `sync` waits until what only it held is gone. @throws not_found */
  remove(reference: string, options?: CallOptions & { sync?: boolean }): Promise<void>;
}

/** What is said about a new image, and how it is read. */
export interface CommitOptions extends CallOptions {
  readonly message?: string;
  readonly author?: string;
  /** Lines of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR. */
  readonly changes?: readonly string[];
  /** Pause the container while its files are read. Default true. */
  readonly pause?: boolean;
}

function fromWire(wire: WireImage | undefined): Image {
  if (wire === undefined) throw dataLoss('daemon sent no image');
  return {
    name: wire.name,
    labels: { ...wire.labels },
    target: fromDescriptor(wire.target),
    createdAt: toDate(wire.createdAt),
    updatedAt: toDate(wire.updatedAt),
  };
}

/** The images of the connection's namespace. */
export function remoteImages(connection: Connection): Images {
  const service = connection.service(ImagesService);
  const get = async (name: string, options?: CallOptions): Promise<Image> =>
    fromWire((await service.get({ name }, connection.unary(options))).image);
  return {
    async list(filters = [], options) {
      const response = await service.list({ filters: [...filters] }, connection.unary(options));
      return response.images.map(fromWire);
    },
    get: async (reference, options) => get(normalizeReference(reference), options),
    pull(reference, options = {}) {
      const name = normalizeReference(reference);
      return startPull(connection, name, options, () => get(name));
    },
    async load(archive, options = {}) {
      const names = new Set<string>();
      for await (const step of loadArchive(connection, archive, options)) {
        if (step.event === 'saved') names.add(step.name);
        options.onProgress?.(step);
      }
      return Promise.all([...names].map((name) => get(name)));
    },
    save: (references, options = {}) => saveArchive(connection, references.map(normalizeReference), options),
    push(reference, options = {}) {
      const name = normalizeReference(reference);
      return startPush(connection, name, normalizeReference(options.as ?? reference), options);
    },
    copy: (source, destination, options = {}) =>
      startCopy(connection, normalizeReference(source), normalizeReference(destination), options),
    async commit(containerId, reference, options = {}) {
      const { message = '', author = '', changes = [], pause = true } = options;
      const name = normalizeReference(reference);
      const request = { containerId, name, message, author, changes: [...changes], noPause: !pause };
      await connection.service(BerthImages).commit(request, connection.slow(options));
      return get(name, options);
    },
    async tag(source, target, options) {
      const { target: descriptor, labels } = await get(normalizeReference(source), options);
      const image = {
        name: normalizeReference(target),
        labels: { ...labels },
        target: toDescriptor(descriptor),
      };
      const on = connection.unary(options);
      try {
        return fromWire((await service.create({ image }, on)).image);
      } catch (error) {
        if (!isKind(error, 'already_exists')) throw error;
        if (options?.force !== true) throw alreadyExists(`image ${image.name} exists already`, error);
        return fromWire((await service.update({ image }, on)).image);
      }
    },
    async remove(reference, options) {
      const request = { name: normalizeReference(reference), sync: options?.sync ?? false };
      await service.delete(request, connection.unary(options));
    },
  };
}
