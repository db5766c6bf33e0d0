import { randomBytes } from 'node:crypto';
import type { Context } from '../async/context.ts';
import { failedPrecondition, wrap } from '../errors/error.ts';
import { finishLayer, type Unfinished } from '../layers/unfinished.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { undo } from './lease.ts';

/**
 * Completes a layer that was applied without its parent (hard links into lower layers, directories it does not
 * describe), now that the parent is committed. Looks at the parent through a passing view.
 */
export async function finish(
  ctx: Context,
  snapshotter: Snapshotter,
  layer: { readonly parent: string; readonly descriptor: Descriptor },
  mounts: readonly Mount[],
  unfinished: Unfinished,
): Promise<void> {
  const directory = mounts.length === 1 && mounts[0]?.type === 'bind' ? mounts[0].source : undefined;
  if (directory === undefined)
    throw failedPrecondition(
      `layer ${layer.descriptor.digest}: ${snapshotter.name} gives no directory to complete`,
    );
  const key = `finish-${randomBytes(6).toString('base64url')} ${layer.parent}`;
  const below = await snapshotter.view(ctx, key, layer.parent);
  try {
    await finishLayer(directory, lowerOf(below), unfinished);
  } catch (error) {
    throw wrap(error, `failed to extract layer ${layer.descriptor.digest}`);
  } finally {
    await undo(ctx, 'remove view', (late) => snapshotter.remove(late, key));
  }
}

/** Directories of a view, nearest first: a bind's source, or an overlay's lower directories. */
export function lowerOf(mounts: readonly Mount[]): string[] {
  const [mount] = mounts;
  if (mount === undefined || mounts.length > 1) throw failedPrecondition('a view of more than one mount');
  if (mount.type === 'bind') return [mount.source];
  const lower =
    mount.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length) ?? '';
  return (lower.match(/(?:\\.|[^:\\])+/g) ?? []).map((dir) => dir.replace(/\\(.)/g, '$1'));
}
