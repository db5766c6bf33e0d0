import { randomBytes } from 'node:crypto';
import type { Context } from '../async/context.ts';
import { failedPrecondition, wrap } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { undo } from './lease.ts';
import type { WrittenLayer } from './write-layer.ts';

/**
 * Completes a layer that was applied without its parent (hard links into lower layers, directories it does not
 * describe), now that the parent is committed. Looks at the parent through a view, which disposing removes.
 */
export async function finish(
  ctx: Context,
  snapshotter: Snapshotter,
  layer: { readonly parent: string; readonly descriptor: Descriptor },
  written: WrittenLayer,
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const lower: string[] = [];
  if (written.unfinished !== undefined) {
    const key = `finish-${randomBytes(6).toString('base64url')} ${layer.parent}`;
    const below = await snapshotter.view(ctx, key, layer.parent);
    stack.defer(() => undo(ctx, 'remove view', (late) => snapshotter.remove(late, key)));
    lower.push(...lowerOf(below));
  }
  try {
    await written.finish(lower);
  } catch (error) {
    throw wrap(error, `failed to extract layer ${layer.descriptor.digest}`);
  }
  return stack.move();
}

/** Directories of a view, nearest first: a bind's source, or an overlay's lower directories. */
function lowerOf(mounts: readonly Mount[]): string[] {
  const [mount] = mounts;
  if (mount === undefined || mounts.length > 1) throw failedPrecondition('a view of more than one mount');
  if (mount.type === 'bind') return [mount.source];
  const lower =
    mount.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length) ?? '';
  return (lower.match(/(?:\\.|[^:\\])+/g) ?? []).map((dir) => dir.replace(/\\(.)/g, '$1'));
}
