import { closeSync, constants, openSync, readSync } from 'node:fs';
import { unreadBytes } from '../sys/fifo.ts';
import { makePipe, setPipeSize, splice, tee } from '../sys/splice.ts';
import type { LogStreamRequest } from './log-request.ts';
import { nothing, type StreamProgress } from './log-state.ts';

/** What a FIFO may hold once it was found so full: fewer turns of the container and of this thread for the same bytes. */
const busyPipeBytes = 1024 * 1024;
const busyBytes = 256 * 1024;

/** What one stream is being read into; see {@link LogStream.seenAll}. */
let batch = Buffer.alloc(0);
/** Where its bytes are read from while they stay in the FIFO. */
let seen: ReturnType<typeof makePipe> | undefined;
let nowhere: number | undefined;

function seenPipe(): ReturnType<typeof makePipe> {
  if (seen !== undefined) return seen;
  seen = makePipe();
  setPipeSize(seen.write, busyPipeBytes);
  return seen;
}

const devNull = (): number => (nowhere ??= openSync('/dev/null', constants.O_WRONLY));

/**
 * The bytes of one stream, which are in one place at any moment, and copied once: they are looked at while they stay in the
 * FIFO. When they are in the log and its state says that they are leaving, the kernel moves them to the spent FIFO,
 * which outlives this process, too, so that a next one can count how many of them had left.
 */
export class LogStream implements Disposable {
  readonly name: 'stdout' | 'stderr';
  readonly fifo: number;
  readonly #spent: number;
  #isBusy = false;
  #rest: Buffer;
  /** Bytes at the head of the FIFO that are pending. */
  #seen = 0;
  #leaving: number;
  /** What the spent FIFO holds. */
  #spentBytes: number;
  /** The rest, and what has been seen and not been written. */
  #pending: Buffer;

  /** `progress`: where an earlier worker came to. */
  constructor(request: LogStreamRequest, { rest, leaving }: StreamProgress = { rest: nothing, leaving: 0 }) {
    this.name = request.name;
    this.fifo = openSync(request.fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#spent = openSync(request.spent, constants.O_RDWR | constants.O_NONBLOCK);
    this.#rest = rest;
    this.#pending = rest;
    this.#leaving = leaving;
    this.#spentBytes = unreadBytes(this.#spent);
  }

  get pending(): Buffer {
    return this.#pending;
  }

  get progress(): StreamProgress {
    return { rest: this.#rest, leaving: this.#leaving };
  }

  /** Sees what has arrived; {@link seenAll} comes before another stream does. @returns the bytes seen, 0 at the end, undefined where nothing has */
  look(maxBytes: number): number | undefined {
    const { read, write } = seenPipe();
    const rest = this.#rest.length;
    // Before, so that nothing can fail while bytes of this stream are in the pipe of all.
    if (rest + maxBytes > batch.length) batch = Buffer.allocUnsafeSlow(rest + maxBytes);
    const bytes = tee(this.fifo, write, maxBytes);
    if (bytes === undefined || bytes === 0) return bytes;
    if (bytes >= busyBytes && !this.#isBusy) {
      this.#isBusy = true;
      setPipeSize(this.fifo, busyPipeBytes);
    }
    this.#rest.copy(batch);
    for (let at = 0; at < bytes; ) at += readSync(read.fd, batch, rest + at, bytes - at, null);
    this.#pending = batch.subarray(0, rest + bytes);
    this.#seen = bytes;
    return bytes;
  }

  /** These first bytes of what is pending are in the log. */
  consume(count: number): void {
    this.#pending = this.#pending.subarray(count);
  }

  /** What was seen may leave, once the state says so. What is still pending gets memory of its own. */
  seenAll(): void {
    this.#rest = this.#pending.length === 0 ? nothing : Buffer.from(this.#pending);
    this.#pending = this.#rest;
    this.#leaving += this.#seen;
    this.#seen = 0;
  }

  /** The state says what is leaving: lets it leave, but for what had left before an earlier worker was killed. */
  leave(): void {
    let isWide = false;
    for (let left = this.#leaving - this.#spentBytes; left > 0; ) {
      const moved = splice(this.fifo, this.#spent, left) ?? 0;
      left -= moved;
      // Either the spent FIFO is full, or somebody else has read: a container may read what it writes.
      if (moved === 0 && isWide) break;
      if (moved === 0) setPipeSize(this.#spent, busyPipeBytes);
      isWide ||= moved === 0;
    }
    this.#spentBytes = Math.max(this.#spentBytes, this.#leaving);
    this.#leaving = 0;
  }

  /** The state does not say any more that anything is leaving: what has left is done with. */
  forget(): void {
    while (this.#spentBytes > 0) {
      const dropped = splice(this.#spent, devNull(), this.#spentBytes);
      this.#spentBytes -= dropped ?? this.#spentBytes;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fifo);
    closeSync(this.#spent);
  }
}
