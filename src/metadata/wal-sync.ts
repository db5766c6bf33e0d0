import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { dataLoss } from '../errors/error.ts';

type Waiter = { resolve(): void; reject(error: unknown): void };

/**
 * Makes committed transactions durable without stalling the event loop: one fdatasync of the write-ahead log at a
 * time, in a libuv thread; everybody who asked before it began is answered by it (docs/decisions/0002). It keeps its
 * own descriptor of the log, which is safe because SQLite takes its POSIX locks on the other two files, and the log is
 * neither replaced nor removed while a connection is open. After a failed sync nothing is promised any more.
 */
export class WalSync implements Disposable {
  readonly #fd: number;
  #waiting: Waiter[] = [];
  #running = false;
  #failure: Error | undefined;

  constructor(walPath: string) {
    this.#fd = openSync(walPath, 'r+');
    reserve(this.#fd);
    syncDirectory(dirname(walPath));
  }

  /** Resolves when everything committed before the call is on disk. @throws data_loss after a failed sync */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#running) this.#next();
    });
  }

  /** Why nothing can be made durable any more, if so. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  #next(): void {
    const waiters = this.#waiting;
    this.#waiting = [];
    this.#running = waiters.length > 0;
    if (!this.#running) return;
    fdatasync(this.#fd, (error) => {
      if (error) this.#failure ??= dataLoss(`metadata database cannot be written: ${error.message}`, error);
      for (const waiter of waiters) {
        if (this.#failure) waiter.reject(this.#failure);
        else waiter.resolve();
      }
      this.#next();
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Room for twice as many frames as a checkpoint waits for. */
const reservedBytes = 8 << 20;

/**
 * Fills the log up with zeros, which SQLite takes for the end of the log as it does old frames. On a full disk records
 * can then still be removed, and with them what fills it; without this, not even a failed unpack could clean up.
 */
function reserve(fd: number): void {
  const zeros = Buffer.alloc(1 << 20);
  try {
    for (let at = fstatSync(fd).size; at < reservedBytes; ) at += writeSync(fd, zeros, 0, zeros.length, at);
  } catch {
    // The disk is full already: what is there must do.
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
