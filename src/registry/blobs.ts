import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind, unavailable } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { bodyOf, strongEtag, withoutFirst } from './blob-body.ts';
import { ConnectionCount } from './connection-count.ts';
import type { HttpResponse } from './exchange.ts';
import { FlowMeter } from './flow-meter.ts';
import { openBlob, readRange } from './open-blob.ts';
import { RangeCrew, rangeLimits } from './range-crew.ts';
import { pauseAfter } from './retry.ts';
import type { RegistrySession } from './session.ts';
import { ThreadBody } from './thread-body.ts';

/**
 * Streams a blob from `offset` (bytes that are already here) to exactly the descriptor's size, going on by Range where a
 * connection broke. It begins with one connection; where the reader waits for bytes and several connections bring more
 * of them, ranges are fetched side by side (at most 10 x 3 MiB a blob and 12 x 3 MiB in all wait for their turn). The
 * bytes are not verified here: the content store does that as they are written. With `file` a large part of them may
 * go there without being handed out.
 * @throws not_found, unauthenticated, permission_denied, unavailable, failed_precondition (another size than described)
 */
export async function* fetchBlob(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
  offset = 0,
  file?: BlobFile,
): AsyncGenerator<Uint8Array> {
  const meter = new FlowMeter();
  using download = new Download(ctx, session, descriptor, { offset, meter, file });
  yield* meter.watch(download.bytes());
}

/** Where a blob's bytes may be put past the reader, behind those it was handed. */
export interface BlobFile {
  /** Once what was handed out is in the file. Nobody else writes there until the generator goes on. */
  begin(): Promise<FileTail>;
}

interface FileTail {
  readonly fd: number;
  /** So many bytes more are in the file. */
  grew(bytes: number): void;
  /** What it means that the file could not be written. */
  failed(error: unknown): unknown;
}

/** Less is not worth another thread. */
const largeBytes = 2 << 20;

/** Waits before the connection is made again. @throws `error` when it is not a broken connection, or once too often */
async function pauseOrThrow(
  ctx: Context,
  { retry }: RegistrySession,
  failures: number,
  error: unknown,
): Promise<void> {
  const pauseMs = pauseAfter(retry, failures);
  if (!isKind(error, 'unavailable') || failures >= retry.attempts || pauseMs === undefined) throw error;
  await sleep(pauseMs, undefined, { signal: ctx.signal });
}

const maxCrews = 3;

class Download implements Disposable {
  readonly #ctx: Context;
  readonly #session: RegistrySession;
  readonly #descriptor: Descriptor;
  readonly #meter: FlowMeter;
  /** Bytes handed out so far, those that were here before counted. */
  #offset: number;
  #etag: string | undefined;
  #crew: RangeCrew | undefined;
  #crews = 0;
  #count = new ConnectionCount();

  readonly #file: BlobFile | undefined;

  constructor(
    ctx: Context,
    session: RegistrySession,
    descriptor: Descriptor,
    {
      offset,
      meter,
      file,
    }: { readonly offset: number; readonly meter: FlowMeter; readonly file: BlobFile | undefined },
  ) {
    this.#ctx = ctx;
    this.#session = session;
    this.#descriptor = descriptor;
    this.#offset = offset;
    this.#meter = meter;
    this.#file = file;
    if (session.distrustsRanges(descriptor.digest)) this.#count.giveUp();
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    for (let failures = 0; this.#offset < this.#descriptor.size; ) {
      const before = this.#offset;
      const ready = await this.#crew?.take(before);
      if (ready !== undefined) yield* this.#handOut(ready);
      else {
        if (this.#crew?.stopped) this.#dropCrew();
        if (this.#crew?.idle) this.#crew = undefined;
        const end = this.#crew?.leave(before);
        const large = this.#file !== undefined && (end ?? this.#descriptor.size) - before >= largeBytes;
        const part = { offset: before, end, etag: this.#etag, large };
        const response = await openBlob(this.#ctx, this.#session, this.#descriptor, part);
        try {
          yield* this.#lead(response, end);
        } catch (error) {
          this.#ctx.signal.throwIfAborted();
          failures = this.#offset > before ? 1 : failures + 1;
          await pauseOrThrow(this.#ctx, this.#session, failures, error);
        }
      }
    }
  }

  *#handOut(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
    for (const chunk of chunks) {
      this.#offset += chunk.byteLength;
      yield chunk;
    }
    this.#adapt();
  }

  /**
   * What nobody has asked for: all of the rest, or what lies before the ranges that the crew has. One connection's worth,
   * which a crew that begins meanwhile cuts short. @throws unavailable when the body ends before
   */
  async *#lead(response: HttpResponse, end: number | undefined): AsyncGenerator<Uint8Array> {
    const { chunks, skip } = bodyOf(response, this.#descriptor, this.#offset);
    this.#etag ??= strongEtag(response);
    if (this.#file !== undefined && skip === 0 && chunks instanceof ThreadBody)
      return await this.#pour(this.#file, chunks, end, response.url.host);
    for await (const chunk of withoutFirst(chunks, skip, response)) {
      this.#meter.received(chunk.byteLength);
      yield* this.#upTo(end, chunk);
      if (this.#offset === this.#stop(end)) return;
      this.#adapt();
    }
    const { digest, size } = this.#descriptor;
    throw unavailable(`blob ${digest}: ended after ${this.#offset} of ${size} bytes`);
  }

  /** The same by the thread that has the connection, into the file. */
  async #pour(file: BlobFile, body: ThreadBody, end: number | undefined, host: string): Promise<void> {
    const { digest, size } = this.#descriptor;
    const tail = await file.begin();
    const target = { fd: tail.fd, offset: this.#offset, end: this.#stop(end), size };
    const over = await body.pour(target, (to, waitedMs) => {
      const bytes = to - this.#offset;
      this.#offset = to;
      this.#meter.poured(bytes, waitedMs);
      tail.grew(bytes);
      this.#adapt();
      if (this.#stop(end) < target.end) body.endAt(this.#stop(end));
    });
    this.#ctx.signal.throwIfAborted();
    if (over.reason === 'unwritable') throw tail.failed(Object.assign(new Error(), over.error));
    if (over.reason === 'broken') throw unavailable(`connection to ${host} broke: ${over.error.message}`);
    if (over.reason === 'more')
      throw failedPrecondition(`blob ${digest}: more than the ${size} bytes it is described with`);
    if (this.#offset < this.#stop(end))
      throw unavailable(`blob ${digest}: ended after ${this.#offset} of ${size} bytes`);
    // A crew that has not shown that it works by then, or was passed, is left behind.
    const crew = this.#crew;
    if (end === undefined && crew !== undefined && (!crew.works || this.#offset !== crew.start))
      this.#dropCrew();
  }

  /** Hands out a chunk as far as it is the lead's. A crew that has not shown that it works by then is left behind. */
  *#upTo(end: number | undefined, chunk: Uint8Array): Generator<Uint8Array> {
    const { digest, size } = this.#descriptor;
    for (let left = chunk; left.byteLength > 0; ) {
      const stop = this.#stop(end);
      if (stop === size && this.#offset + left.byteLength > size)
        throw failedPrecondition(`blob ${digest}: more than the ${size} bytes it is described with`);
      const mine = left.subarray(0, stop - this.#offset);
      this.#offset += mine.byteLength;
      yield mine;
      left = left.subarray(mine.byteLength);
      if (this.#offset < stop) continue;
      if (end !== undefined || this.#crew === undefined || this.#crew.works) return;
      this.#dropCrew();
    }
  }

  /** Where the one connection has to stop. */
  #stop(end: number | undefined): number {
    return end ?? this.#crew?.start ?? this.#descriptor.size;
  }

  /** Uses as many connections as the last window showed to be worth it. */
  #adapt(): void {
    const flow = this.#meter.take();
    if (flow === undefined) return;
    const connections = this.#count.judge(flow);
    if (connections > 1) (this.#crew ?? this.#beginCrew())?.resize(connections);
    else if (this.#crew !== undefined) this.#crew.resize(0);
  }

  #beginCrew(): RangeCrew | undefined {
    const { size, digest } = this.#descriptor;
    const start = this.#offset + rangeLimits.bytes;
    if (start + rangeLimits.bytes > size) return undefined;
    this.#session.usesRanges(digest);
    const { ranges } = this.#session.connections;
    this.#crew = new RangeCrew(this.#fetchRange, ranges, start, size, this.#ctx.signal);
    return this.#crew;
  }

  readonly #fetchRange: ConstructorParameters<typeof RangeCrew>[0] = (offset, end, signal, accepted) => {
    const received = (bytes: number) => this.#meter.received(bytes);
    const part = { offset, end, etag: this.#etag };
    const ctx = { ...this.#ctx, signal };
    return readRange(ctx, this.#session, this.#descriptor, part, { accepted, received });
  };

  /** Goes on without; after a while another crew may try, but not for ever. */
  #dropCrew(): void {
    this.#crew?.[Symbol.dispose]();
    this.#crew = undefined;
    this.#count = new ConnectionCount();
    if (++this.#crews >= maxCrews) this.#count.giveUp();
    this.#meter.restart();
  }

  [Symbol.dispose](): void {
    this.#crew?.[Symbol.dispose]();
  }
}
