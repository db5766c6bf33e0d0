import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Diff } from '../gen/containerd/services/diff/v1/diff_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fromDescriptor, toDescriptor } from './convert.ts';
import { toMount } from './snapshots.ts';

/** How to make a layer of a difference. */
export interface CompareOptions extends CallOptions {
  /** A layer type of OCI or Docker, `+gzip`, `+zstd` or plain. Default: OCI's `+gzip`. */
  readonly mediaType?: string;
  /** Of the new content, which nothing else holds: use a lease, or gc labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Later times of files become this one, for layers that come out the same again. */
  readonly sourceDateEpoch?: Date;
}

/** Layers to trees of files, and back: containerd's Diff service. */
export interface Layers {
  /**
   * Writes a layer that is in the content store onto the mounts of an active snapshot. Returns the uncompressed layer,
   * whose digest is the diff ID. @throws not_found, failed_precondition, data_loss
   */
  apply(layer: Descriptor, mounts: readonly Mount[], options?: CallOptions): Promise<Descriptor>;
  /** Stores what leads from the tree `lower` to the tree `upper`. @throws not_found, invalid_argument */
  compare(lower: readonly Mount[], upper: readonly Mount[], options?: CompareOptions): Promise<Descriptor>;
}

/** The Diff service of the daemon. */
export function remoteLayers(connection: Connection): Layers {
  const service = connection.service(Diff);
  return {
    async apply(layer, mounts, options) {
      const request = { diff: toDescriptor(layer), mounts: mounts.map(toMount) };
      return fromDescriptor((await service.apply(request, connection.slow(options))).applied);
    },
    async compare(lower, upper, options = {}) {
      const { mediaType = '', labels = {}, sourceDateEpoch } = options;
      const request = {
        left: lower.map(toMount),
        right: upper.map(toMount),
        mediaType,
        labels: { ...labels },
        ...(sourceDateEpoch && { sourceDateEpoch: timestampFromDate(sourceDateEpoch) }),
      };
      return fromDescriptor((await service.diff(request, connection.slow(options))).diff);
    },
  };
}
