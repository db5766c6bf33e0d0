import { closeSync, constants, openSync } from 'node:fs';
import { codeOf, invalidArgument } from '../errors/error.ts';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Opens a stream's path. @throws invalid_argument that names stream and path, in the kernel's words */
function open(stream: string, path: string, flags: number, mode?: number): number {
  try {
    return openSync(path, flags, mode);
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'no such file or directory' : codeOf(error);
    throw invalidArgument(`open ${stream} ${path}: ${reason}`, error);
  }
}

/**
 * A client's FIFO as a container's stdout or stderr. The container gets it open for reading and writing: it is its
 * own reader, so a client that leaves sends no SIGPIPE, and a dead shim takes nothing away. The shim copies nothing;
 * it holds one write end, so that what was written before the exit waits for a client that opens late.
 */
export class FifoOutput {
  readonly containerFd: number;
  readonly #path: string;
  #containerFd: number | undefined;
  #hold: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws invalid_argument (nothing there, or it may not be opened) */
  constructor(stream: string, path: string) {
    this.#path = path;
    this.containerFd = open(stream, path, O_RDWR);
    this.#containerFd = this.containerFd;
    this.#hold = open(stream, path, O_WRONLY);
  }

  /** The runtime has its own copy now. */
  started(): void {
    closeOnce(this.#containerFd);
    this.#containerFd = undefined;
  }

  /** The process is gone: a client that reads must see the end; one that is not there yet must find the data. */
  ended(delayMs = 10): void {
    this.started();
    if (this.#hold === undefined) return;
    if (hasReader(this.#path)) this.close();
    else this.#timer = setTimeout(() => this.ended(Math.min(delayMs * 2, 500)), delayMs).unref();
  }

  /** Lets go of everything. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.started();
    closeOnce(this.#hold);
    this.#hold = undefined;
  }
}

/** A client's FIFO as a container's stdin. The shim holds a write end until CloseIO, as containerd's shims do. */
export class FifoInput {
  readonly containerFd: number;
  #containerFd: number | undefined;
  #hold: number | undefined;

  /** @throws invalid_argument */
  constructor(path: string) {
    const both = open('stdin', path, O_RDWR);
    try {
      this.containerFd = open('stdin', path, O_RDONLY);
      this.#containerFd = this.containerFd;
      this.#hold = open('stdin', path, O_WRONLY);
    } finally {
      closeSync(both);
    }
  }

  started(): void {
    closeOnce(this.#containerFd);
    this.#containerFd = undefined;
  }

  closeStdin(): void {
    closeOnce(this.#hold);
    this.#hold = undefined;
  }

  close(): void {
    this.started();
    this.closeStdin();
  }
}

/** Opens a file that gets output appended; made 0640 where missing, never through a symlink. @throws invalid_argument */
export const openAppend = (stream: string, path: string): number =>
  open(stream, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640);

/** Opening to write without waiting fails (ENXIO) exactly when nobody has the FIFO open for reading. */
function hasReader(path: string): boolean {
  try {
    closeSync(openSync(path, O_WRONLY | O_NONBLOCK));
    return true;
  } catch (error) {
    return codeOf(error) !== 'ENXIO';
  }
}

function closeOnce(fd: number | undefined): void {
  if (fd !== undefined) closeSync(fd);
}
