import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { maxLineBytes } from './log-lines.ts';

/** How far one stream of a log has come. */
export interface StreamProgress {
  /** What was taken and is no whole line yet, less than {@link maxLineBytes}. */
  readonly rest: Buffer;
  /** So many bytes at the head of the FIFO are in the log or in {@link rest}, and on their way out of the FIFO. */
  readonly leaving: number;
}

/** How far a log has come: what left its FIFOs is in the first `size` bytes of file `ino`, but for the rests. */
export interface LogProgress {
  readonly ino: bigint;
  readonly size: number;
  /** Of stdout and stderr. */
  readonly streams: readonly [StreamProgress, StreamProgress];
}

export const nothing: Buffer = Buffer.alloc(0);
const idle: StreamProgress = { rest: nothing, leaving: 0 };

const headBytes = 16;
const streamBytes = 16;
const recordBytes = headBytes + 2 * streamBytes;
const pageBytes = 4096;

/**
 * {@link LogProgress} on disk. The record is one write far smaller than a page: a kill leaves the old or the new one. Rests
 * lie behind it, each stream's in two places in turn, so that the one that the record names is not written.
 */
export class LogState implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.alloc(recordBytes);
  readonly #rests: [Buffer, Buffer] = [nothing, nothing];
  readonly #places: [number, number] = [0, 0];

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  /** undefined where nothing has been written yet. */
  read(): LogProgress | undefined {
    if (readSync(this.#fd, this.#record, 0, recordBytes, 0) < recordBytes) return undefined;
    const streams = [this.#readStream(0), this.#readStream(1)] as const;
    return { ino: this.#record.readBigUInt64LE(0), size: this.#readNumber(8), streams };
  }

  /** @throws an error of the file system; then what was there before holds. */
  write({
    ino,
    size,
    streams,
  }: {
    ino: bigint;
    size: number;
    streams: readonly [StreamProgress?, StreamProgress?];
  }): void {
    this.#record.writeBigUInt64LE(ino, 0);
    this.#record.writeBigUInt64LE(BigInt(size), 8);
    for (const index of [0, 1] as const) this.#writeStream(index, streams[index] ?? idle);
    writeSync(this.#fd, this.#record, 0, recordBytes, 0);
  }

  #readStream(index: 0 | 1): StreamProgress {
    const at = headBytes + index * streamBytes;
    const place = this.#record.readUInt32LE(at);
    const rest = Buffer.alloc(Math.min(this.#record.readUInt32LE(at + 4), maxLineBytes));
    readSync(this.#fd, rest, 0, rest.length, restAt(index, place));
    this.#places[index] = place;
    this.#rests[index] = rest;
    return { rest, leaving: this.#readNumber(at + 8) };
  }

  #writeStream(index: 0 | 1, { rest, leaving }: StreamProgress): void {
    if (rest.length > 0 && rest !== this.#rests[index]) {
      const place = 1 - this.#places[index];
      writeSync(this.#fd, rest, 0, rest.length, restAt(index, place));
      this.#places[index] = place;
      this.#rests[index] = rest;
    }
    const at = headBytes + index * streamBytes;
    this.#record.writeUInt32LE(this.#places[index], at);
    this.#record.writeUInt32LE(rest.length, at + 4);
    this.#record.writeBigUInt64LE(BigInt(leaving), at + 8);
  }

  #readNumber(at: number): number {
    return Number(this.#record.readBigUInt64LE(at));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

const restAt = (index: number, place: number): number => pageBytes + (2 * index + place) * maxLineBytes;
