import type { Context } from '../../async/context.ts';
import { failedPrecondition } from '../../errors/error.ts';
import type { ContainerStore } from '../../metadata/container-store.ts';
import type { Image } from '../../metadata/image-store.ts';
import { containerLayer } from '../container-layer.ts';
import { withLease } from '../lease.ts';
import type { TransferParts } from '../parts.ts';
import { recordImage } from '../record.ts';
import { ensureUnpacked, snapshotterOf } from '../unpack.ts';
import { type Pausing, whilePaused } from '../while-paused.ts';
import { findBase } from './base-image.ts';
import { type CommitWords, writeImage } from './write-image.ts';

/** An image to be made of a container. */
export interface CommitRequest extends CommitWords {
  readonly containerId: string;
  /** Name of the image record; one of that name is replaced. */
  readonly name: string;
  /** Pause the container while its files are read. Default true. */
  readonly pause?: boolean;
}

/** What a commit needs beside the transfer parts. */
export interface CommitParts {
  readonly containers: Pick<ContainerStore, 'get'>;
  readonly tasks: Pausing;
}

/**
 * Makes an image of what a container has written on top of its own image, and unpacks it, so that it can be run.
 * Nothing is left of one that could not be finished.
 * @throws not_found (container, content of its image), failed_precondition (a container without a snapshot or whose
 *   image is not here any more, files that no layer can hold), invalid_argument (changes)
 */
export function commit(
  parts: TransferParts,
  { containers, tasks }: CommitParts,
  ctx: Context,
  request: CommitRequest,
): Promise<Image> {
  return withLease(parts.leases, ctx, async (leased) => {
    const container = await containers.get(leased, request.containerId);
    if (container.snapshotKey === '') throw failedPrecondition(`container ${container.id} has no snapshot`);
    const snapshotter = snapshotterOf(parts, container.snapshotter);
    const { parent } = await snapshotter.stat(leased, container.snapshotKey);
    const base = await findBase(parts, leased, container, parent);
    const layer = await whilePaused(tasks, leased, request, () =>
      containerLayer(parts.content, leased, snapshotter, container.snapshotKey),
    );
    const target = await writeImage(parts.content, leased, base, layer, request);
    await ensureUnpacked(parts, leased, target, snapshotter.name);
    return recordImage(parts.images, leased, { name: request.name, labels: {}, target });
  });
}
