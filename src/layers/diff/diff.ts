import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Limiter } from '../../async/limiter.ts';
import { aborted, internal } from '../../errors/error.ts';
import type { DiffId } from '../../oci/digest.ts';
import type { LayerCompression } from '../../oci/media-types.ts';
import { mountTemporarily } from '../../sys/temp-mount.ts';
import type { LayerMount } from '../target.ts';
import { unpackError } from '../worker-messages.ts';
import type { DiffJob, DiffMessage } from './diff-job.ts';
import { type DiffSide, sidesOf } from './diff-sides.ts';

/** Two trees whose difference is to become a layer. */
export interface DiffRequest {
  /** Mounts of the old tree, as a snapshotter's view of the parent gives them; none: everything is new. */
  readonly left: readonly LayerMount[];
  /** Mounts of the new tree. A container may be running on them: they are only read. */
  readonly right: readonly LayerMount[];
  readonly compression: LayerCompression;
  /** SOURCE_DATE_EPOCH in milliseconds: later times are set back to it. */
  readonly latestMs?: number | undefined;
  readonly signal: AbortSignal;
}

/** A layer that was made. */
export interface MadeLayer {
  readonly diffId: DiffId;
  /** Uncompressed. */
  readonly sizeBytes: number;
}

const limiter = new Limiter(availableParallelism());
/** Chunks that may be on their way. */
const readAhead = 4;

/**
 * Makes a layer out of the difference of two trees, in a thread of its own: yields its (compressed) bytes, returns what
 * it is uncompressed. Where the new tree is an overlay on the old one only its upperdir is looked through. The same
 * trees give the same bytes.
 * @throws invalid_argument (no mounts), failed_precondition (what a layer cannot hold), aborted, SysError
 */
export async function* diffLayer(request: DiffRequest): AsyncGenerator<Uint8Array, MadeLayer> {
  using _turn = await limiter.acquire(request.signal);
  await using mounted = new AsyncDisposableStack();
  const { left, right, upper } = sidesOf(request.left, request.right);
  const opaqueXattr = upper && `${upper.userXattr ? 'user' : 'trusted'}.overlay.opaque`;
  return yield* runWorker(
    {
      left: await directoryOf(left, mounted),
      right: upper?.directory ?? (await directoryOf(right, mounted)) ?? '',
      opaqueXattr,
      compression: request.compression,
      latestNs: request.latestMs === undefined ? undefined : BigInt(request.latestMs) * 1_000_000n,
    },
    request.signal,
  );
}

async function directoryOf(side: DiffSide, mounted: AsyncDisposableStack): Promise<string | undefined> {
  if (side === undefined || 'directory' in side) return side?.directory;
  return mounted.use(await mountTemporarily(side.mounts)).path;
}

async function* runWorker(
  job: Omit<DiffJob, 'port'>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, MadeLayer> {
  const { port1, port2 } = new MessageChannel();
  // The build renames this file, so its own extension tells that of its neighbour.
  const script = new URL(`./diff-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(script, {
    workerData: { ...job, port: port2 } satisfies DiffJob,
    transferList: [port2],
    resourceLimits: { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 16 },
  });
  // Nothing of it needs undoing: it only reads.
  await using _worker = { [Symbol.asyncDispose]: async () => void (await worker.terminate()) };
  const messages = receive(port1, worker, signal);
  for (let i = 0; i < readAhead; i++) port1.postMessage(null);
  for (;;) {
    const message = await messages.next();
    if ('error' in message) throw unpackError(message.error);
    if ('outcome' in message) return message.outcome as MadeLayer;
    port1.postMessage(null);
    yield message.chunk;
  }
}

/** `next` is the next message. @throws aborted, internal (the thread died) */
function receive(port: MessagePort, worker: Worker, signal: AbortSignal): { next(): Promise<DiffMessage> } {
  const queue: DiffMessage[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {});
  worker.once('error', (error) => reject(internal('diff worker failed', error)));
  worker.once('exit', () => reject(internal('diff worker ended')));
  signal.addEventListener('abort', () => reject(aborted('making a layer was cancelled', signal.reason)), {
    once: true,
  });
  port.on('message', (message: DiffMessage) => queue.push(message));
  return {
    async next() {
      for (;;) {
        const message = queue.shift();
        if (message) return message;
        await Promise.race([once(port, 'message'), failed]);
      }
    },
  };
}
