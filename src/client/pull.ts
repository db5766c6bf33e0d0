import { create } from '@bufbuild/protobuf';
import { ImageStoreSchema, OCIRegistrySchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Platform } from '../oci/platform.ts';
import type { Connection } from './connection.ts';
import { toPlatform } from './convert.ts';
import { drain } from './drain.ts';
import { openAccess, type RegistryAccess } from './registry-access.ts';
import { endOf, runTransfer, type TransferProgress } from './transfer.ts';

/** How to pull; `labels` go on the image record. */
export interface PullOptions extends RegistryAccess {
  /** Platforms to fetch; default: the daemon's own. */
  readonly platforms?: readonly Platform[];
  /** Snapshotter to unpack with; default: the daemon's; false: do not unpack. */
  readonly snapshotter?: string | false;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A running pull: iterate it for progress, or just wait for its {@link image}. */
export interface Pull extends AsyncIterable<TransferProgress> {
  /** The image record, once everything is here and unpacked. Reads the progress itself when nobody iterates. */
  image(): Promise<Image>;
}

/**
 * Pulls by Transfer. Leaving the iteration early cancels the pull.
 * @throws not_found, unauthenticated, permission_denied, unavailable, data_loss
 */
export function startPull(
  connection: Connection,
  reference: string,
  options: PullOptions,
  record: () => Promise<Image>,
): Pull {
  const steps = runTransfer(connection, options.signal, async (scope) => {
    const resolver = { ...(await openAccess(connection, options, scope)) };
    return {
      source: endOf(OCIRegistrySchema, create(OCIRegistrySchema, { reference, resolver })),
      destination: endOf(ImageStoreSchema, storeOf(reference, options)),
    };
  });
  let finished: Promise<Image> | undefined;
  return {
    [Symbol.asyncIterator]: () => steps,
    image() {
      finished ??= drain(steps).then(record);
      return finished;
    },
  };
}

function storeOf(name: string, options: PullOptions) {
  const platforms = (options.platforms ?? []).map(toPlatform);
  const labels = { ...options.labels };
  return create(ImageStoreSchema, { name, labels, platforms, unpacks: unpacks(options, platforms) });
}

function unpacks(options: PullOptions, platforms: ReturnType<typeof toPlatform>[]) {
  if (options.snapshotter === false) return [];
  const snapshotter = options.snapshotter ?? '';
  return platforms.length === 0
    ? [{ snapshotter }]
    : platforms.map((platform) => ({ platform, snapshotter }));
}
