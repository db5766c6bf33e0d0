import { readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../errors/error.ts';
import type { Fd } from '../sys/fd.ts';
import { pollReadable, pollWritable } from '../sys/ffi.ts';
import { setNonBlocking } from '../sys/non-blocking.ts';
import { splice } from '../sys/splice.ts';
import { setWindowSize, type WindowSize } from '../sys/tty.ts';

const batchBytes = 64 * 1024;
const discarded = Buffer.alloc(4096);

/** Somebody waits for `fd`. */
interface Wait {
  readonly fd: number;
  stop(): void;
}

/**
 * The controlling end of a process's terminal. Bytes go between it and FIFOs inside the kernel, so that none is lost
 * with the shim: what has left the terminal is in the FIFO.
 */
export class Console implements Disposable {
  readonly #fd: Fd;
  readonly #waits = new Set<Wait>();
  #closed = false;
  #typing = true;

  constructor(fd: Fd) {
    this.#fd = fd;
    setNonBlocking(fd);
  }

  get fd(): number | undefined {
    return this.#closed ? undefined : this.#fd.fd;
  }

  resize(size: WindowSize): void {
    if (!this.#closed) setWindowSize(this.#fd, size);
  }

  /**
   * Moves what is written to the terminal until its last user is gone or this is closed, as fast as `fifo` takes it.
   * Without a FIFO it is thrown away: the process must not wait for nobody.
   */
  async copyTo(fifo: number | undefined): Promise<void> {
    if (fifo !== undefined) setNonBlocking(fifo);
    for (let idle = false; !this.#closed; ) {
      const moved = fifo === undefined ? this.#discard() : move(this.#fd.fd, fifo);
      if (moved === 0) return;
      // Readable, and still nothing moved: it is the FIFO that is full.
      if (moved === undefined)
        await (idle && fifo !== undefined
          ? this.#until(pollWritable, fifo)
          : this.#until(pollReadable, this.#fd.fd));
      idle = moved === undefined && !idle;
    }
  }

  /** Types what comes through a FIFO into the terminal, waiting while the process does not read. */
  async typeFrom(fifo: number): Promise<void> {
    for (let waitMs = 1, idle = false; this.#typing && !this.#closed; ) {
      const moved = move(fifo, this.#fd.fd);
      if (moved === 0) return;
      if (moved === undefined && idle) await sleep(waitMs);
      else if (moved === undefined) await this.#until(pollReadable, fifo);
      waitMs = moved === undefined && idle ? Math.min(waitMs * 2, 50) : 1;
      idle = moved === undefined;
    }
  }

  /** Before the FIFO that is typed from is closed. */
  stopTyping(): void {
    this.#typing = false;
    for (const wait of this.#waits) if (wait.fd !== this.#fd.fd) wait.stop();
  }

  /** Idempotent; ends all copying. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const wait of this.#waits) wait.stop();
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #until(poll: typeof pollReadable, fd: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch = poll(fd, resolve);
    const stop = () => {
      watch[Symbol.dispose]();
      this.#waits.delete(wait);
      resolve();
    };
    const wait: Wait = { fd, stop };
    this.#waits.add(wait);
    await promise;
    stop();
  }

  #discard(): number | undefined {
    try {
      return readSync(this.#fd.fd, discarded);
    } catch (error) {
      return codeOf(error) === 'EAGAIN' ? undefined : 0;
    }
  }
}

/** 0 also where an end has failed: nothing can be moved any more. */
function move(from: number, to: number): number | undefined {
  try {
    return splice(from, to, batchBytes);
  } catch {
    return 0;
  }
}
