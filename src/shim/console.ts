import { readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../errors/error.ts';
import type { Fd } from '../sys/fd.ts';
import { pollReadable } from '../sys/ffi.ts';
import { setNonBlocking } from '../sys/non-blocking.ts';
import { setWindowSize, type WindowSize } from '../sys/tty.ts';

/** The kernel hands out at most a page of terminal output at a time. */
const chunkBytes = 4096;

/** The controlling end of a process's terminal, kept by the shim. */
export class Console implements Disposable {
  readonly #fd: Fd;
  #closed = false;
  #waiting: { poll: Disposable; resolve(): void } | undefined;

  constructor(fd: Fd) {
    this.#fd = fd;
    setNonBlocking(fd);
  }

  resize(size: WindowSize): void {
    if (!this.#closed) setWindowSize(this.#fd, size);
  }

  /** What is written to the terminal, until its last user is gone or this is closed. Read only as fast as consumed. */
  async *output(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const chunk = this.#read();
      if (chunk === undefined) return;
      if (chunk.length > 0) yield chunk;
      else await this.#readable();
    }
  }

  /** Types into the terminal; waits while the process does not read. Drops the rest once closed. */
  async type(bytes: Buffer): Promise<void> {
    let waitMs = 1;
    for (let rest = bytes; rest.length > 0 && !this.#closed; ) {
      const written = this.#write(rest);
      if (written === undefined) return;
      rest = rest.subarray(written);
      waitMs = written > 0 ? 1 : Math.min(waitMs * 2, 50);
      if (rest.length > 0) await sleep(waitMs);
    }
  }

  /** Idempotent; ends {@link output}. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaiting();
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Bytes, none when there is nothing yet, undefined at the end (EIO: no process has the terminal open). */
  #read(): Buffer | undefined {
    if (this.#closed) return undefined;
    const buffer = Buffer.allocUnsafe(chunkBytes);
    try {
      const count = readSync(this.#fd.fd, buffer);
      return count === 0 ? undefined : buffer.subarray(0, count);
    } catch (error) {
      return codeOf(error) === 'EAGAIN' ? empty : undefined;
    }
  }

  #write(bytes: Buffer): number | undefined {
    try {
      return writeSync(this.#fd.fd, bytes);
    } catch (error) {
      return codeOf(error) === 'EAGAIN' ? 0 : undefined;
    }
  }

  async #readable(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { poll: pollReadable(this.#fd.fd, resolve), resolve };
    await promise;
    this.#stopWaiting();
  }

  #stopWaiting(): void {
    this.#waiting?.poll[Symbol.dispose]();
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}

const empty = Buffer.alloc(0);
