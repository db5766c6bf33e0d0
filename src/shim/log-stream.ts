import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { punchHole, setPipeSize, splice } from '../sys/splice.ts';
import type { LogStreamRequest } from './log-request.ts';

/** How much stays on disk that is done with. */
const keepBytes = 1024 * 1024;
/** What a FIFO may hold once it was found so full: fewer turns of the container and of this thread for the same bytes. */
const busyPipeBytes = 1024 * 1024;
const busyBytes = 256 * 1024;
/** What one stream has just been read into; see {@link LogStream.keepRest}. */
let batch = Buffer.alloc(0);

/**
 * The bytes of one stream: moved by the kernel from the FIFO into a spool file, so that a kill leaves each byte in
 * exactly one of the two, and read from there. Positions count from the beginning of the stream.
 */
export class LogStream implements Disposable {
  readonly name: 'stdout' | 'stderr';
  readonly fifo: number;
  readonly #spool: number;
  #end: number;
  #consumed: number;
  #punched: number;
  #isBusy = false;
  /** Everything between `#consumed` and `#end`. */
  #pending: Buffer;

  /** `consumed`: where an earlier worker came to. */
  constructor(request: LogStreamRequest, consumed: number) {
    this.name = request.name;
    this.fifo = openSync(request.fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#spool = openSync(request.spool, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#end = fstatSync(this.#spool).size;
    this.#consumed = Math.min(consumed, this.#end);
    this.#punched = this.#consumed;
    this.#pending = this.#read(this.#consumed, this.#end);
  }

  get consumed(): number {
    return this.#consumed;
  }

  get pending(): Buffer {
    return this.#pending;
  }

  /** Takes what has arrived; {@link keepRest} comes before another stream does. @throws SysError (no space) @returns the bytes taken, 0 at the end, undefined where nothing has */
  take(maxBytes: number): number | undefined {
    const moved = splice(this.fifo, this.#spool, maxBytes, this.#end);
    if (moved === undefined || moved === 0) return moved;
    if (moved >= busyBytes && !this.#isBusy) {
      this.#isBusy = true;
      setPipeSize(this.fifo, busyPipeBytes);
    }
    const rest = this.#pending.length;
    if (rest + moved > batch.length) batch = Buffer.allocUnsafeSlow(rest + moved);
    this.#pending.copy(batch);
    readSync(this.#spool, batch, rest, moved, this.#end);
    this.#pending = batch.subarray(0, rest + moved);
    this.#end += moved;
    return moved;
  }

  /** These first bytes of what is pending are done with, once that has been written down. */
  consume(count: number): void {
    this.#consumed += count;
    this.#pending = this.#pending.subarray(count);
  }

  /** What is still pending gets memory of its own: what it was read into is for all streams. */
  keepRest(): void {
    this.#pending = Buffer.from(this.#pending);
  }

  /** Gives disk space back that nobody needs any more. */
  trim(): void {
    if (this.#consumed - this.#punched < keepBytes) return;
    this.#punched = this.#consumed;
    try {
      punchHole(this.#spool, this.#consumed);
    } catch {
      // A file system without holes: the spool goes with its container.
    }
  }

  #read(from: number, to: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(to - from);
    readSync(this.#spool, bytes, 0, bytes.length, from);
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.fifo);
    closeSync(this.#spool);
  }
}
