import { writeSync } from 'node:fs';

const bufferBytes = 256 * 1024;

/** Writes forward through a file in large pieces. */
export class BufferedOutput {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(bufferBytes);
  #start: number;
  #used = 0;

  constructor(fd: number, start: number) {
    this.#fd = fd;
    this.#start = start;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#start + this.#used;
  }

  /** Goes on at `position`, zeros up to it. */
  skipTo(position: number): void {
    while (this.position < position) this.#take(Math.min(position - this.position, bufferBytes)).fill(0);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.#take(Math.min(bytes.length - at, bufferBytes));
      room.set(bytes.subarray(at, at + room.length));
      at += room.length;
    }
  }

  flush(): void {
    writeAll(this.#fd, this.#buffer.subarray(0, this.#used), this.#start);
    this.#start += this.#used;
    this.#used = 0;
  }

  #take(bytes: number): Buffer {
    if (this.#used + bytes > bufferBytes) this.flush();
    this.#used += bytes;
    return this.#buffer.subarray(this.#used - bytes, this.#used);
  }
}

/** Writes all of `bytes` at `position`. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
