import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { makeFifo } from '../sys/fifo.ts';
import { setPipeSize } from '../sys/splice.ts';
import type { FoundFds } from './fd-store.ts';

/** So much may wait between a container and whoever writes its log: more than a batch would only be memory. */
const pipeBytes = 256 * 1024;

/**
 * A FIFO in the bundle between a container and a reader of ours, a log or a logger. The container gets it open for
 * reading and writing, so it lives on whoever reads dies; a read end is held for the same reason.
 */
export class OwnFifo implements Disposable {
  readonly path: string;
  readonly containerFd: number;
  #containerFd: number | undefined;
  #reader: number | undefined;

  /** `path`: made when missing. `stream`: what an earlier shim kept it under. */
  constructor(path: string, stream: string, found: FoundFds) {
    this.path = path;
    ensureFifo(path);
    this.containerFd = openSync(path, constants.O_RDWR);
    this.#containerFd = this.containerFd;
    this.#reader = found.get(stream)?.release() ?? openReader(path);
    setPipeSize(this.containerFd, pipeBytes);
  }

  get held(): number | undefined {
    return this.#reader;
  }

  /** A further read end, for a reader that waits. Opening it does not wait, whoever writes. */
  openReader(): number {
    const writer = openSync(this.path, constants.O_RDWR);
    try {
      return openReader(this.path, 0);
    } finally {
      closeSync(writer);
    }
  }

  /** Whoever writes has its own copy now. */
  started(): void {
    if (this.#containerFd !== undefined) closeSync(this.#containerFd);
    this.#containerFd = undefined;
  }

  /** Removes it. Idempotent. */
  [Symbol.dispose](): void {
    this.started();
    if (this.#reader === undefined) return;
    closeSync(this.#reader);
    this.#reader = undefined;
    rmSync(this.path, { force: true });
  }
}

const openReader = (path: string, flags: number = constants.O_NONBLOCK): number =>
  openSync(path, constants.O_RDONLY | flags);

function ensureFifo(path: string): void {
  try {
    makeFifo(path, 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}
