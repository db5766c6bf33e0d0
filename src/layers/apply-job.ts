import type { ApplyCounter } from './apply-counter.ts';
import type { GrowingSource } from './growing-source.ts';
import type { LayerLimits } from './limits.ts';
import type { LayerTarget } from './target.ts';
import type { Unfinished } from './unfinished.ts';

/** What goes to an apply worker. Everything is structured-clone safe. */
export interface ApplyJob {
  /** The compressed layer; undefined when it comes over the job's stream port. */
  readonly file: { readonly path: string } | GrowingSource | undefined;
  readonly mediaType: string;
  readonly target: LayerTarget;
  readonly limits: LayerLimits;
  readonly sync: boolean;
  readonly counter: ApplyCounter | undefined;
  /** One Int32 in shared memory: how many layers are, or wait to be, applied by now. */
  readonly underWay: Int32Array<SharedArrayBuffer>;
}

/** A layer that was applied without what is beneath it, to be completed (see `finishApplied`). */
export interface FinishJob {
  readonly finish: 'directory' | 'layer-file';
  readonly path: string;
  /** Directories beneath, nearest first. */
  readonly lower: readonly string[];
  readonly unfinished: Unfinished;
}

/** What comes back. */
export interface ApplyOutcome extends Unfinished {
  readonly diffId: string;
  readonly sizeBytes: number;
  readonly inodes: number;
}
