import type { ContentReader } from '../content/store.ts';
import { failedPrecondition, isKind } from '../errors/error.ts';
import { type AppliedLayer, type ApplyRequest, applyLayer, finishApplied } from '../layers/apply.ts';
import type { GrowingSource } from '../layers/growing-source.ts';
import { targetOf } from '../layers/target.ts';
import type { ApplyTarget, FindApplyTarget, LayerFileTarget } from '../snapshots/apply-target.ts';
import type { Mount } from '../snapshots/snapshotter.ts';

/** A layer and the active snapshot it goes to. */
export interface LayerToWrite
  extends Pick<ApplyRequest, 'mediaType' | 'limits' | 'signal' | 'sync' | 'onProgress'> {
  /** The compressed layer. Read again where it turns out to be none that can be one file. */
  readonly from: ContentReader | GrowingSource;
  readonly mounts: readonly Mount[];
}

/** A layer that is written, and not yet part of its snapshot before it is finished. Disposing gives it up until then. */
export interface WrittenLayer extends AsyncDisposable, AppliedLayer {
  /**
   * Completes it, once. `lower`: the directories beneath, nearest first; what is `unfinished` needs them.
   * @throws invalid_argument when a hard link's target is nowhere
   */
  finish(lower: readonly string[]): Promise<void>;
}

/**
 * Applies a layer to mounts: as one file where their snapshot may become one, else as files (also where the layer has
 * what no file can: hard links into layers beneath). @throws what applyLayer throws
 */
export async function writeLayer(find: FindApplyTarget, wanted: LayerToWrite): Promise<WrittenLayer> {
  await using stack = new AsyncDisposableStack();
  const target = stack.use(await find(wanted.mounts));
  const written = (await writeFile(target, wanted)) ?? (await writeFiles(target, wanted));
  const held = stack.move();
  return { ...written, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** How a worker gets at the bytes best. */
export function sourceOf(from: LayerToWrite['from']): ApplyRequest['source'] {
  if ('grown' in from) return from;
  const { path } = from;
  return path === undefined ? from.stream() : { path };
}

type Written = Omit<WrittenLayer, typeof Symbol.asyncDispose>;

async function writeFile(target: ApplyTarget, wanted: LayerToWrite): Promise<Written | undefined> {
  const { layer } = target;
  if (layer === undefined) return undefined;
  const { path: layerFile, lower, lowest } = layer;
  const applied = await applyLayer({ ...wanted, source: sourceOf(wanted.from), to: { layerFile, lowest } });
  if (applied.unfinished !== undefined && applied.unfinished.links.length > 0) return undefined;
  if (lower.length > 0 && !(await complete(layer, applied, lower))) return undefined;
  const unfinished = lowest || lower.length > 0 ? undefined : applied.unfinished;
  return {
    ...applied,
    unfinished,
    async finish(beneath) {
      if (await complete(layer, { ...applied, unfinished }, beneath)) return layer.adopt();
      const files = await writeFiles(target, wanted);
      await files.finish(beneath);
    },
  };
}

/** False when a file cannot hold what the layers beneath would give it. */
async function complete(
  { path }: LayerFileTarget,
  { unfinished, inodes }: Pick<AppliedLayer, 'unfinished' | 'inodes'>,
  lower: readonly string[],
): Promise<boolean> {
  try {
    if (unfinished !== undefined)
      await finishApplied({ finish: 'layer-file', path, lower, unfinished }, inodes);
    return true;
  } catch (error) {
    if (isKind(error, 'failed_precondition')) return false;
    throw error;
  }
}

async function writeFiles(target: ApplyTarget, wanted: LayerToWrite): Promise<Written> {
  await target[Symbol.asyncDispose]();
  const applied = await applyLayer({ ...wanted, source: sourceOf(wanted.from), to: target.mounts });
  return {
    ...applied,
    async finish(lower) {
      const { unfinished, inodes } = applied;
      if (unfinished === undefined) return;
      const path = directoryOf(target.mounts);
      await finishApplied({ finish: 'directory', path, lower, unfinished }, inodes);
    },
  };
}

function directoryOf(mounts: readonly Mount[]): string {
  const target = targetOf(mounts);
  if ('directory' in target) return target.directory;
  throw failedPrecondition('a layer that needs what is beneath it must be applied to a directory');
}
