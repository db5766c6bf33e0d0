import { check, libcCall } from './ffi.ts';

/** An open file: a number, or anything that holds one ({@link Fd}, Node's FileHandle). */
export type FdLike = number | { readonly fd: number };

export const fdNumber = (fd: FdLike): number => (typeof fd === 'number' ? fd : fd.fd);

const closeCall = libcCall('close', ['int']);
const dupCall = libcCall('fcntl', ['int', 'int', 'int64']);
const F_DUPFD_CLOEXEC = 1030;

/** An open file that closes with its scope: `using dir = …`. */
export class Fd implements Disposable {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws TypeError once closed or released, so that a stale number never names another file */
  get fd(): number {
    if (this.#fd < 0) throw new TypeError('file descriptor is closed');
    return this.#fd;
  }

  /** A path that opens this very file again, whatever has happened to its name. */
  get procPath(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  /** Gives the number away: whoever called must close it. */
  release(): number {
    const fd = this.fd;
    this.#fd = -1;
    return fd;
  }

  /** Idempotent. What close(2) answers is ignored: the descriptor is gone whatever it says. */
  close(): void {
    if (this.#fd >= 0) closeCall(this.release());
  }

  /** Closes in another thread: the last close of a removed file frees its blocks, which waits for the journal. Never rejects. */
  async closeAside(): Promise<void> {
    if (this.#fd >= 0) await closeCall.wait(this.release());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A second descriptor of the same open file, close-on-exec. */
export const duplicate = (fd: FdLike): Fd => new Fd(check('dup', dupCall(fdNumber(fd), F_DUPFD_CLOEXEC, 3)));
