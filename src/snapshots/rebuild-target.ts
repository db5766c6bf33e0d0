import type { LayerFileTarget } from './apply-target.ts';

/**
 * Where the layer file of a committed snapshot is made once more; `adopt` puts it, durably, in the place of what is there.
 * Whoever has the old one mounted keeps seeing that; who mounts from then on sees the new one.
 */
export interface RebuildTarget extends LayerFileTarget, AsyncDisposable {
  /** Takes the file of another committed snapshot, verified, for the new one. False where that is damaged or has none. */
  take(from: number, signal: AbortSignal): Promise<boolean>;
}
