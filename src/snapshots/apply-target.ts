import type { SnapshotDriver } from './driver.ts';
import type { Mount } from './snapshotter.ts';

/**
 * What the mounts of an active snapshot mean to whoever applies a layer to them. Held while the layer is being written;
 * disposing gives up what was not adopted.
 */
export interface ApplyTarget extends AsyncDisposable {
  /** Where to write it as files. */
  readonly mounts: readonly Mount[];
  /** Set where the snapshot is empty and may become a layer file instead. */
  readonly layer?: LayerFileTarget;
}

/** A layer file to be. */
export interface LayerFileTarget {
  /** Where to write the EROFS image; nothing is there. */
  readonly path: string;
  /** Directories beneath, nearest first; none when it has no parent (yet). */
  readonly lower: readonly string[];
  /** Nothing will ever be beneath it: what it deletes deletes nothing, and must not be seen. */
  readonly lowest: boolean;
  /** The file is whole: from now on it is the content of the snapshot. Once. @throws not_found when that was removed */
  adopt(): Promise<void>;
}

/** Asks who knows these mounts; those that nobody knows are themselves the target. @throws what the mounts' owner throws */
export type FindApplyTarget = (mounts: readonly Mount[]) => Promise<ApplyTarget>;

/** Asks each driver. */
export const applyTargets =
  (drivers: readonly SnapshotDriver[]): FindApplyTarget =>
  async (mounts) => {
    for (const driver of drivers) {
      const target = await driver.applyTarget?.(mounts);
      if (target !== undefined) return target;
    }
    return { mounts, [Symbol.asyncDispose]: async () => {} };
  };
