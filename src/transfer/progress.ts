import type { Descriptor } from '../oci/descriptor.ts';

/**
 * What one object of a transfer is doing. A transfer as a whole goes `resolving`, `resolved`, `saved`…, `done`; each
 * manifest and blob goes `waiting`, then `exists`, or `downloading`… and `complete`; each layer that is unpacked goes
 * on to `extracting`… and `extracted`. On the way to a registry it is `pushing`, `uploading`…, `mounted` (another repository
 * lends it), `pushed`. An archive goes `importing`, `saved`…, `imported`, or `exporting`, `exported`. A path of a container goes `copying`…,
 * `copied`. A `warning` is what a registry wants people to know; its text is the name.
 */
export type TransferPhase =
  | 'resolving'
  | 'resolved'
  | 'waiting'
  | 'exists'
  | 'downloading'
  | 'complete'
  | 'extracting'
  | 'extracted'
  | 'saved'
  | 'done'
  | 'pushing'
  | 'uploading'
  | 'mounted'
  | 'pushed'
  | 'importing'
  | 'imported'
  | 'exporting'
  | 'exported'
  | 'copying'
  | 'copied'
  | 'warning';

/** One step of a transfer. Offsets and totals are in bytes, 0 when they mean nothing. */
export interface TransferProgress {
  readonly phase: TransferPhase;
  /** What the transfer is about, or for `saved` the image record. */
  readonly name: string;
  readonly descriptor?: Descriptor;
  /** The manifest or index that names it; undefined for the root. */
  readonly parent?: Descriptor | undefined;
  readonly offset: number;
  readonly total: number;
}

const named = new Set<TransferPhase>(['saved', 'warning']);

/** Is told of each step; it must neither throw nor wait. */
export type Report = (progress: TransferProgress) => void;

/** On whose behalf something is done: who is told, and whose share of the budget it uses. */
export interface Customer {
  /** One transfer; unique in the daemon. */
  readonly id: string;
  readonly report: Report;
}

/**
 * Progress on its way to whoever iterates. A slow reader never slows the work: of moving counters only the latest
 * value waits, so the queue holds at most one entry for each object and phase.
 */
export class ProgressFeed implements AsyncIterable<TransferProgress> {
  readonly #queue = new Map<string, TransferProgress>();
  #wake: (() => void) | undefined;
  #ended = false;

  readonly report: Report = (progress) => {
    const key = `${progress.phase} ${progress.descriptor?.digest ?? ''} ${named.has(progress.phase) ? progress.name : ''}`;
    // Behind what was reported since: two layers of one digest go through the same phases twice.
    this.#queue.delete(key);
    this.#queue.set(key, progress);
    this.#wake?.();
  };

  /** Lets the reader see what is queued, then ends. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TransferProgress, void, void> {
    while (true) {
      const [next] = this.#queue;
      if (next !== undefined) {
        this.#queue.delete(next[0]);
        yield next[1];
      } else if (this.#ended) return;
      else await this.#change();
    }
  }

  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }
}

/** Lets a counter through at most every `everyMs` milliseconds. */
export function throttled(report: (offset: number) => void, everyMs = 100): (offset: number) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (offset) => {
    if (performance.now() - last < everyMs) return;
    last = performance.now();
    report(offset);
  };
}
