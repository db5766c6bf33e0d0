import { randomUUID } from 'node:crypto';
import type { Context } from '../async/context.ts';
import type { ContentStore } from '../content/store.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { undo } from './lease.ts';
import { type KeptLayer, makeLayer } from './make-layer.ts';

/** What a container has written, over what its snapshot stands on, as a layer. @throws not_found, and as makeLayer */
export async function containerLayer(
  content: ContentStore,
  ctx: Context,
  snapshotter: Snapshotter,
  snapshotKey: string,
): Promise<KeptLayer> {
  const { parent } = await snapshotter.stat(ctx, snapshotKey);
  const right = await snapshotter.mounts(ctx, snapshotKey);
  if (parent === '') return makeLayer(content, ctx, { left: [], right });
  const key = `diff-${randomUUID()}`;
  const left = await snapshotter.view(ctx, key, parent);
  try {
    return await makeLayer(content, ctx, { left, right });
  } finally {
    await undo(ctx, 'remove the view of a layer', (late) => snapshotter.remove(late, key));
  }
}
