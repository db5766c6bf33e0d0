import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { internal } from '../errors/error.ts';
import type { DiffId } from '../oci/digest.ts';
import { newCounter, watchCounter } from './apply-counter.ts';
import type { ApplyJob, ApplyOutcome, FinishJob } from './apply-job.ts';
import { finish } from './finish.ts';
import type { GrowingSource } from './growing-source.ts';
import { defaultLayerLimits, type LayerLimits } from './limits.ts';
import { type LayerMount, type LayerTarget, targetOf } from './target.ts';
import type { Unfinished } from './unfinished.ts';
import { WorkerPool } from './worker-pool.ts';

/** One layer and where it goes. */
export interface ApplyRequest {
  /**
   * The compressed layer: a file that the worker reads by itself (fastest), one that it reads while it grows (see
   * {@link GrowingSource}; the caller limits how many at a time), or a stream of its bytes.
   */
  readonly source: { readonly path: string } | GrowingSource | AsyncIterable<Uint8Array>;
  /** An OCI or Docker layer media type; the bytes must agree with it. */
  readonly mediaType: string;
  /**
   * Mounts of an active snapshot (see {@link LayerMount}), a directory to write to, or where to make a layer file
   * (its directory exists, it does not or is empty; what a failure leaves there is the caller's to remove).
   */
  readonly to:
    | readonly LayerMount[]
    | { readonly directory: string }
    /** `lowest`: nothing will be beneath it, so what it deletes is left out. Default false. */
    | { readonly layerFile: string; readonly lowest?: boolean };
  readonly limits?: Partial<LayerLimits>;
  /** Stops the work within a second. What was written until then stays for the caller to remove. */
  readonly signal?: AbortSignal | undefined;
  /** Write everything to disk before answering. Default false: committing the snapshot does it. */
  readonly sync?: boolean;
  /** Told how many compressed bytes are read, five times a second while anything moves; only for a file as source. */
  readonly onProgress?: (readBytes: number) => void;
}

/** What a layer turned out to be. */
export interface AppliedLayer {
  /** Digest of the uncompressed layer, all bytes to the end of the stream. */
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  readonly inodes: number;
  /**
   * What needs the layers below: nothing, unless the target was an overlay whose lower directories are not known yet
   * ({@link forRebase}) or a layer file. Hand it to {@link finishApplied} before such a snapshot is
   * committed onto its parent. A layer file cannot have `links` to lower layers: apply such a layer as a directory.
   */
  readonly unfinished: Unfinished | undefined;
}

function targetFor(to: ApplyRequest['to']): LayerTarget {
  if ('directory' in to) return { kind: 'plain', directory: to.directory };
  if ('layerFile' in to) return { kind: 'layer-file', path: to.layerFile, lowest: to.lowest ?? false };
  return targetOf(to);
}

const pool = new WorkerPool<ApplyJob | FinishJob, ApplyOutcome | undefined>({
  // The build renames this file, so its own extension tells that of its neighbour.
  script: new URL(`./apply-worker${extname(import.meta.url)}`, import.meta.url),
  // One more, so that a small layer need not wait for those that are large.
  size: availableParallelism() + 1,
  idleMs: 2_000,
});

/** Shared with the workers: while there are as many as processors each inflates by itself, which takes a tenth less of them. */
const underWay = new Int32Array(new SharedArrayBuffer(4));

function countLayer(): Disposable {
  Atomics.add(underWay, 0, 1);
  return { [Symbol.dispose]: () => void Atomics.sub(underWay, 0, 1) };
}

/**
 * Applies one layer in a worker thread, in one pass: inflate, hash, untar. No symlink leads out of the target, also one
 * swapped in meanwhile; semantics are those of containerd's archive apply (later members replace earlier ones,
 * directories merge, whiteouts concern lower layers only). Several calls run in parallel up to the number of cores.
 * @throws invalid_argument (malformed layer, wrong media type), resource_exhausted (limits, disk full),
 *   failed_precondition (read-only mounts), aborted
 */
export async function applyLayer(request: ApplyRequest): Promise<AppliedLayer> {
  const { source, to, onProgress } = request;
  const stream = Symbol.asyncIterator in source ? source : undefined;
  const counter = onProgress && newCounter();
  using _layer = countLayer();
  using _progress = counter && onProgress && watchCounter(counter, onProgress);
  const outcome = await pool.run(
    {
      file: Symbol.asyncIterator in source ? undefined : source,
      mediaType: request.mediaType,
      target: targetFor(to),
      limits: { ...defaultLayerLimits, ...request.limits },
      sync: request.sync ?? false,
      counter,
      underWay,
    },
    { signal: request.signal, stream, waits: 'grown' in source },
  );
  if (outcome === undefined) throw internal('layer worker said nothing');
  const { diffId, sizeBytes, inodes, ...unfinished } = outcome;
  const needsMore = unfinished.links.length + unfinished.implicitDirectories.length > 0;
  return { diffId: diffId as DiffId, sizeBytes, inodes, unfinished: needsMore ? unfinished : undefined };
}

/** So many lookups, or inodes that are hashed again, take some 10 ms: no more of the event loop's time. */
const atOnce = { lookups: 3_000, inodes: 20_000 } as const;

/**
 * Completes a layer that has `unfinished` parts: in a worker thread, unless it is little. A hostile layer may ask for a
 * million directories in each of a hundred layers beneath. @throws what `finishLayer` and `finishLayerFile` throw
 */
export async function finishApplied(job: FinishJob, inodes: number): Promise<void> {
  const { implicitDirectories, links } = job.unfinished;
  const lookups = (implicitDirectories.length + links.length) * Math.max(1, job.lower.length);
  if (lookups <= atOnce.lookups && inodes <= atOnce.inodes) await finish(job);
  else await pool.run(job);
}
