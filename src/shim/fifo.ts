import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { codeOf, invalidArgument } from '../errors/error.ts';
import { unreadBytes } from '../sys/fifo.ts';
import { setPipeSize } from '../sys/splice.ts';
import type { Output, StdioPlace } from './stdio.ts';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Opens a stream's path. @throws invalid_argument that names stream and path, in the kernel's words */
function open(stream: string, path: string, flags: number, mode?: number): number {
  try {
    return openSync(path, flags, mode);
  } catch (error) {
    throw refused(stream, path, error);
  }
}

/** A write end of a FIFO that somebody has open for reading, or is about to. @throws invalid_argument */
function openToReader(stream: string, path: string): number | undefined {
  try {
    return openSync(path, O_WRONLY | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENXIO') return undefined;
    throw refused(stream, path, error);
  }
}

function refused(stream: string, path: string, error: unknown): Error {
  const reason = codeOf(error) === 'ENOENT' ? 'no such file or directory' : codeOf(error);
  return invalidArgument(`open ${stream} ${path}: ${reason}`, error);
}

/** More than the usual 64 KiB: a container and its client need to wait for each other less often. */
const pipeBytes = 256 * 1024;

/** Path by which a held end of a FIFO opens again, even where its name is gone. */
const again = (fd: number): string => `/proc/self/fd/${fd}`;

/**
 * A client's FIFO as a container's stdout or stderr. The container gets it open for reading and writing: it is its
 * own reader, so a client that leaves sends no SIGPIPE, and a dead shim takes nothing away. The shim copies nothing;
 * it holds one write end, so that what was written before the exit waits for a client that opens late. A client that
 * had not opened when the container was made is waited for before the exit is told, or it would take the exit for the
 * end of its output: ctr gives up opening then.
 */
export class FifoOutput implements Output {
  readonly containerFd: number;
  readonly #changed: () => void;
  readonly #closed = Promise.withResolvers<void>();
  #containerFd: number | undefined;
  #hold: number | undefined;
  #isAwaited: boolean;
  #timer: NodeJS.Timeout | undefined;

  /** @throws invalid_argument (nothing there, or it may not be opened) */
  constructor(stream: 'stdout' | 'stderr', path: string, { found, changed }: StdioPlace) {
    const kept = found.get(stream);
    const name = kept === undefined ? path : again(kept.fd);
    this.#changed = changed;
    const early = kept?.release() ?? openToReader(stream, name);
    this.#isAwaited = early === undefined;
    this.containerFd = open(stream, name, O_RDWR);
    this.#containerFd = this.containerFd;
    setPipeSize(this.containerFd, pipeBytes);
    this.#hold = early ?? open(stream, name, O_WRONLY);
  }

  /** Clients read at their own pace, for as long as they like: only one that never came is waited for. */
  get drained(): Promise<void> {
    return this.#isAwaited ? this.#closed.promise : Promise.resolve();
  }

  get held(): number | undefined {
    return this.#hold;
  }

  started(): void {
    closeOnce(this.#containerFd);
    this.#containerFd = undefined;
  }

  /** The process is gone: a client that reads must see the end; one that is not there yet must find the data. */
  ended(delayMs = 10): void {
    this.started();
    if (this.#hold === undefined) return;
    if (hasReader(this.#hold)) {
      this.close();
      return;
    }
    if (unreadBytes(this.#hold) === 0) this.#isAwaited = false;
    this.#timer = setTimeout(() => this.ended(Math.min(delayMs * 2, 500)), delayMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#closed.resolve();
    this.started();
    if (this.#hold === undefined) return;
    closeSync(this.#hold);
    this.#hold = undefined;
    this.#changed();
  }
}

/**
 * A client's FIFO as a container's stdin. A write end is held until CloseIO, as containerd's shims do, and outlives
 * the shim: the container sees no end of its input before somebody asks for it.
 */
export class FifoInput {
  readonly containerFd: number;
  readonly #changed: () => void;
  #containerFd: number | undefined;
  #hold: number | undefined;

  /** @throws invalid_argument */
  constructor(path: string, { found, changed }: StdioPlace) {
    const kept = found.get('stdin');
    const name = kept === undefined ? path : again(kept.fd);
    this.#changed = changed;
    const both = open('stdin', name, O_RDWR);
    try {
      this.containerFd = open('stdin', name, O_RDONLY);
      this.#containerFd = this.containerFd;
      this.#hold = kept?.release() ?? open('stdin', name, O_WRONLY);
    } finally {
      closeSync(both);
    }
  }

  get held(): number | undefined {
    return this.#hold;
  }

  started(): void {
    closeOnce(this.#containerFd);
    this.#containerFd = undefined;
  }

  closeStdin(): void {
    if (this.#hold === undefined) return;
    closeSync(this.#hold);
    this.#hold = undefined;
    this.#changed();
  }

  close(): void {
    this.started();
    this.closeStdin();
  }
}

/** Opens a file that gets output appended; made 0640 where missing, never through a symlink. @throws invalid_argument */
export const openAppend = (stream: string, path: string): number =>
  open(stream, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640);

/**
 * As {@link openAppend}, for a container to write to: what only made the opening safe is no flag of what it gets, or
 * criu, which opens it again by a link in /proc, could not.
 */
export function openForContainer(stream: string, path: string): number {
  const fd = openAppend(stream, path);
  if (!fstatSync(fd).isFile()) return fd;
  try {
    return open(stream, again(fd), O_WRONLY | O_APPEND);
  } finally {
    closeSync(fd);
  }
}

/** Opening to write without waiting fails (ENXIO) exactly when nobody has the FIFO open for reading. */
function hasReader(fd: number): boolean {
  try {
    closeSync(openSync(again(fd), O_WRONLY | O_NONBLOCK));
    return true;
  } catch (error) {
    return codeOf(error) !== 'ENXIO';
  }
}

function closeOnce(fd: number | undefined): void {
  if (fd !== undefined) closeSync(fd);
}
