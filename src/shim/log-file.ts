import { closeSync, fstatSync, ftruncateSync, renameSync, writeSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { openAppend } from './fifo.ts';
import type { LogTarget } from './log-request.ts';
import type { LogProgress } from './log-state.ts';

/** A log file that only grows by whole writes, is put aside when long, and opened again when somebody moved it away. */
export class LogFile implements Disposable {
  readonly #target: LogTarget;
  #fd: number;
  #ino: bigint;
  #size: number;

  /** @throws invalid_argument */
  constructor(target: LogTarget) {
    this.#target = target;
    [this.#fd, this.#ino, this.#size] = openLog(target.path);
  }

  get ino(): bigint {
    return this.#ino;
  }

  get size(): number {
    return this.#size;
  }

  /** Takes back what was written after a record of progress in this very file. */
  rollBack({ ino, size }: LogProgress): void {
    if (ino !== this.#ino || size >= this.#size) return;
    this.#truncate(size);
    this.#size = size;
  }

  /** Appends all of it, or nothing where the disk is full: then these lines are lost, and nothing else. */
  append(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#size += bytes.length;
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') this.#truncate(this.#size);
    }
  }

  get isLong(): boolean {
    return this.#target.maxBytes > 0 && this.#size >= this.#target.maxBytes;
  }

  /** Puts the file aside as `<path>.1`, earlier ones one number up, and begins a new one. */
  rotate(): void {
    const { path, maxFiles } = this.#target;
    for (let n = maxFiles - 1; n > 0; n--) renameIfThere(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
    if (maxFiles === 1) ftruncateSync(this.#fd, 0);
    this.reopen();
  }

  /** Goes on in the file that has the path now; in the old one where that cannot be opened. @throws invalid_argument */
  reopen(): void {
    const old = this.#fd;
    [this.#fd, this.#ino, this.#size] = openLog(this.#target.path);
    closeSync(old);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #truncate(size: number): void {
    try {
      ftruncateSync(this.#fd, size);
    } catch {
      // A device, or a disk that fails: what is in it stays.
    }
  }
}

function openLog(path: string): [fd: number, ino: bigint, size: number] {
  const fd = openAppend('log', path);
  const { ino, size } = fstatSync(fd, { bigint: true });
  return [fd, ino, Number(size)];
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
