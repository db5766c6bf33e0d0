import { pollReadable } from '../sys/ffi.ts';
import { LineBuffer } from './line-buffer.ts';
import { LogFile } from './log-file.ts';
import { formatters, nowNano } from './log-lines.ts';
import type { LogRequest } from './log-request.ts';
import { LogState, type StreamProgress } from './log-state.ts';
import { LogStream } from './log-stream.ts';

/** Most that is written at a time; less where files are to be put aside at a size. */
const batchBytes = 256 * 1024;
/** Most that is made lines of at a time: longer strings are slow to make and to get rid of. */
const pieceBytes = 64 * 1024;
const minBatchBytes = 4096;
const pauseMs = 1000;
/** One batch at a time is written, of whatever log. */
const lines = new LineBuffer();
/** Batches of one stream before others have their turn. */
const turn = 4;

/**
 * Carries the streams of one process into a log file, each byte exactly once whoever is killed when: it stays in the
 * FIFO until it is in the log, and the state file says how much of the log counts, and what is leaving the FIFO.
 */
export class LogPump implements Disposable {
  readonly #request: LogRequest;
  readonly #opened = new DisposableStack();
  readonly #file: LogFile;
  readonly #state: LogState;
  readonly #streams: readonly LogStream[];
  readonly #polls = new Map<LogStream, Disposable>();
  readonly #onDrained: () => void;
  readonly #batchBytes: number;

  /** `onDrained`: every stream has come to its end, and all of it is in the file. @throws invalid_argument */
  constructor(request: LogRequest, onDrained: () => void) {
    using opened = new DisposableStack();
    this.#request = request;
    this.#onDrained = onDrained;
    const { maxBytes } = request;
    this.#batchBytes =
      maxBytes === 0 ? batchBytes : Math.min(batchBytes, Math.max(minBatchBytes, maxBytes >> 5));
    this.#file = opened.use(new LogFile(request));
    this.#state = opened.use(new LogState(request.state));
    const progress = this.#state.read();
    if (progress !== undefined) this.#file.rollBack(progress);
    this.#streams = request.streams.map((stream) =>
      opened.use(new LogStream(stream, progress?.streams[indexOf(stream.name)])),
    );
    for (const stream of this.#streams) this.#settle(stream);
    this.#opened = opened.move();
    for (const stream of this.#streams) this.#watch(stream);
  }

  /** The file was moved away: goes on in a new one. @throws invalid_argument */
  reopen(): void {
    this.#file.reopen();
    this.#commit();
  }

  [Symbol.dispose](): void {
    for (const poll of this.#polls.values()) poll[Symbol.dispose]();
    this.#polls.clear();
    for (const stream of this.#streams) if (stream.pending.length > 0) this.#write(stream, true);
    this.#opened.dispose();
  }

  #watch(stream: LogStream): void {
    this.#polls.set(
      stream,
      pollReadable(stream.fifo, () => this.#onReadable(stream)),
    );
  }

  #onReadable(stream: LogStream): void {
    try {
      for (let i = 0; i < turn; i++) if (!this.#move(stream)) return;
    } catch {
      this.#pause(stream);
    }
  }

  /** @returns false where there is no more for now @throws an error of the file system (no space for the state) */
  #move(stream: LogStream): boolean {
    if (stream.progress.leaving > 0) this.#settle(stream);
    const seen = stream.look(this.#batchBytes);
    if (seen === undefined) return false;
    this.#write(stream, seen === 0);
    if (seen === 0) this.#ended(stream);
    return seen > 0;
  }

  /** The disk is full: the container waits, and nothing is lost. */
  #pause(stream: LogStream): void {
    this.#polls.get(stream)?.[Symbol.dispose]();
    const timer = setTimeout(() => this.#watch(stream), pauseMs);
    this.#polls.set(stream, { [Symbol.dispose]: () => clearTimeout(timer) });
  }

  #ended(stream: LogStream): void {
    this.#polls.get(stream)?.[Symbol.dispose]();
    this.#polls.delete(stream);
    if (this.#polls.size === 0) this.#onDrained();
  }

  #write(stream: LogStream, atEnd: boolean): void {
    while (this.#writePiece(stream, atEnd));
    stream.seenAll();
    this.#settle(stream);
    if (!this.#file.isLong) return;
    this.#file.rotate();
    this.#commit();
  }

  /** @returns false where the rest waits for more */
  #writePiece(stream: LogStream, atEnd: boolean): boolean {
    const piece = stream.pending.subarray(0, pieceBytes);
    const isLast = atEnd && piece.length === stream.pending.length;
    lines.clear();
    const consumed = formatters[this.#request.format](piece, stream.name, nowNano(), isLast, lines);
    if (consumed === 0) return false;
    this.#file.append(lines.bytes);
    stream.consume(consumed);
    return true;
  }

  /** What is in the log leaves its FIFO. @throws an error of the file system: then it is left for another try */
  #settle(stream: LogStream): void {
    this.#commit();
    if (stream.progress.leaving > 0) {
      stream.leave();
      this.#commit();
    }
    stream.forget();
  }

  #commit(): void {
    const streams: [StreamProgress?, StreamProgress?] = [];
    for (const stream of this.#streams) streams[indexOf(stream.name)] = stream.progress;
    this.#state.write({ ino: this.#file.ino, size: this.#file.size, streams });
  }
}

const indexOf = (name: 'stdout' | 'stderr'): 0 | 1 => (name === 'stdout' ? 0 : 1);
