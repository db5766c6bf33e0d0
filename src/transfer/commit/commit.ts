import { randomUUID } from 'node:crypto';
import type { Context } from '../../async/context.ts';
import { failedPrecondition } from '../../errors/error.ts';
import type { Container, ContainerStore } from '../../metadata/container-store.ts';
import type { Image } from '../../metadata/image-store.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import { undo, withLease } from '../lease.ts';
import { type KeptLayer, makeLayer } from '../make-layer.ts';
import type { TransferParts } from '../parts.ts';
import { recordImage } from '../record.ts';
import { ensureUnpacked, snapshotterOf } from '../unpack.ts';
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
  readonly tasks: {
    find(ctx: Context, containerId: string): Promise<{ readonly status: string } | undefined>;
    pause(ctx: Context, containerId: string): Promise<unknown>;
    resume(ctx: Context, containerId: string): Promise<unknown>;
  };
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
    const layer = await paused(tasks, leased, request, () =>
      layerOf(parts, leased, snapshotter, container, parent),
    );
    const target = await writeImage(parts.content, leased, base, layer, request);
    await ensureUnpacked(parts, leased, target, snapshotter.name);
    return recordImage(parts.images, leased, { name: request.name, labels: {}, target });
  });
}

async function layerOf(
  { content }: TransferParts,
  ctx: Context,
  snapshotter: Snapshotter,
  { snapshotKey }: Container,
  parent: string,
): Promise<KeptLayer> {
  const right = await snapshotter.mounts(ctx, snapshotKey);
  if (parent === '') return makeLayer(content, ctx, { left: [], right });
  const key = `commit-${randomUUID()}`;
  const left = await snapshotter.view(ctx, key, parent);
  try {
    return await makeLayer(content, ctx, { left, right });
  } finally {
    await undo(ctx, 'remove the view of a commit', (late) => snapshotter.remove(late, key));
  }
}

/** A container that runs is paused meanwhile, and goes on whatever happens. */
async function paused<T>(
  tasks: CommitParts['tasks'],
  ctx: Context,
  { containerId, pause = true }: CommitRequest,
  work: () => Promise<T>,
): Promise<T> {
  if (!pause || (await tasks.find(ctx, containerId))?.status !== 'running') return await work();
  await tasks.pause(ctx, containerId);
  try {
    return await work();
  } finally {
    await undo(ctx, 'resume a committed container', (late) => tasks.resume(late, containerId));
  }
}
