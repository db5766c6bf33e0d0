import { close, constants, openSync, unlinkSync, write } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import { codeOf } from '../errors/error.ts';
import { makeFifo } from '../sys/fifo.ts';
import { CriLines, nowNano } from './cri-lines.ts';
import { openAppend } from './fifo.ts';

const writeAsync = promisify(write);
const closeAsync = promisify(close);

/** A log file in the CRI format, shared by the streams of one process. Closed when the last stream is. */
export class CriLogFile {
  readonly #fd: number;
  #users = 0;
  #queue: Promise<void> = Promise.resolve();

  /** @throws invalid_argument */
  constructor(path: string) {
    this.#fd = openAppend('log', path);
  }

  use(): void {
    this.#users++;
  }

  /** Appends after everything before; a full disk loses these lines and nothing else. */
  append(lines: string): Promise<void> {
    this.#queue = this.#queue.then(() => this.#writeAll(Buffer.from(lines, 'latin1'))).catch(() => {});
    return this.#queue;
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const { bytesWritten } = await writeAsync(this.#fd, rest);
      rest = rest.subarray(bytesWritten);
    }
  }

  async release(): Promise<void> {
    if (--this.#users > 0) return;
    await this.#queue;
    await closeAsync(this.#fd);
  }
}

/**
 * One stream of a container into a log file, by a FIFO in the bundle that the container holds open itself: it lives
 * on when the shim dies, and the next shim opens the FIFO again by its path.
 */
export class CriOutput {
  readonly containerFd: number;
  /** Settles when every byte is in the file. */
  readonly drained: Promise<void>;
  readonly #path: string;
  readonly #file: CriLogFile;
  readonly #reader: Socket;
  #containerFd: number | undefined;

  /** `fifo`: path of the FIFO, made when missing. */
  constructor(stream: 'stdout' | 'stderr', fifo: string, file: CriLogFile) {
    this.#path = fifo;
    this.#file = file;
    ensureFifo(fifo);
    this.containerFd = openSync(fifo, constants.O_RDWR);
    this.#containerFd = this.containerFd;
    const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#reader = new Socket({ fd, readable: true, writable: false });
    file.use();
    this.drained = this.#pump(new CriLines(stream));
  }

  /** The runtime has its own copy now. */
  started(): void {
    if (this.#containerFd !== undefined) close(this.#containerFd);
    this.#containerFd = undefined;
  }

  /** The process is gone; the FIFO ends when nobody else holds it. */
  ended(): void {
    this.started();
  }

  /** Stops reading, whatever is left, and removes the FIFO. Idempotent. */
  close(): void {
    this.started();
    this.#reader.destroy();
    try {
      unlinkSync(this.#path);
    } catch {}
  }

  async #pump(lines: CriLines): Promise<void> {
    try {
      for await (const chunk of this.#reader) {
        const text = lines.push(chunk as Buffer, nowNano());
        if (text !== '') await this.#file.append(text);
      }
    } catch {
      // Destroyed by close(): what has been read so far is written below.
    }
    const rest = lines.end(nowNano());
    if (rest !== '') await this.#file.append(rest);
    await this.#file.release();
  }
}

function ensureFifo(path: string): void {
  try {
    makeFifo(path, 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}
