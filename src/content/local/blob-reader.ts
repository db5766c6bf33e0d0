import { closeSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { outOfRange, resourceExhausted } from '../../errors/error.ts';
import type { ContentReader } from '../store.ts';

const readElsewhere = promisify(read);
const chunkBytes = 1 << 20;
/** So much is read at once: `ctr content get` asks for 32 KiB a call, which the kernel has read ahead. */
const atOnceBytes = 64 * 1024;

/** Bytes of a file, read at once. @throws out_of_range when it is shorter */
export function readInto(fd: number, path: string, position: number, bytes: number): Uint8Array {
  const data = Buffer.allocUnsafeSlow(bytes);
  for (let done = 0; done < bytes; ) {
    const bytesRead = readSync(fd, data, done, bytes - done, position + done);
    if (bytesRead === 0) throw endsEarly(path, position + done);
    done += bytesRead;
  }
  return data;
}

const endsEarly = (path: string, position: number) => outOfRange(`${path} ends at ${position} bytes`);

/** Reads one blob file. Holds the file open, so a blob that is deleted meanwhile is still read to its end. */
export class BlobReader implements ContentReader {
  readonly sizeBytes: number;
  readonly path: string;
  #fd: number | undefined;
  #reading: Promise<unknown> | undefined;

  /** The descriptor is its own from now on. */
  constructor(fd: number, path: string, sizeBytes: number) {
    this.#fd = fd;
    this.path = path;
    this.sizeBytes = sizeBytes;
  }

  async *stream(offset = 0, end = this.sizeBytes): AsyncIterable<Uint8Array> {
    if (offset < 0 || offset > this.sizeBytes) {
      throw outOfRange(`read past object length ${this.sizeBytes} bytes`);
    }
    const last = Math.min(end, this.sizeBytes);
    if (last - offset <= atOnceBytes) {
      if (offset < last) yield readInto(this.#open(), this.path, offset, last - offset);
      return;
    }
    // The next chunk is read while the consumer works on this one.
    let ahead: Promise<Uint8Array> | undefined = this.#read(offset, last);
    for (let position = offset; ahead; ) {
      const chunk: Uint8Array = await ahead;
      position += chunk.length;
      ahead = position < last ? this.#read(position, last) : undefined;
      ahead?.catch(() => {}); // seen when awaited; a consumer that stops early must not leave it unhandled
      yield chunk;
    }
  }

  async bytes(limitBytes: number): Promise<Uint8Array> {
    if (this.sizeBytes > limitBytes) {
      throw resourceExhausted(`blob of ${this.sizeBytes} bytes is larger than ${limitBytes} bytes`);
    }
    const all = Buffer.allocUnsafeSlow(this.sizeBytes);
    for (let position = 0; position < all.length; ) {
      position += await this.#fill(all.subarray(position), position);
    }
    return all;
  }

  async #read(position: number, end: number): Promise<Uint8Array> {
    const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, end - position));
    return chunk.subarray(0, await this.#fill(chunk, position));
  }

  async #fill(target: Uint8Array, position: number): Promise<number> {
    const reading = readElsewhere(this.#open(), target, 0, target.length, position);
    this.#reading = reading;
    const { bytesRead } = await reading;
    if (bytesRead === 0 && target.length > 0) throw endsEarly(this.path, position);
    return bytesRead;
  }

  #open(): number {
    if (this.#fd === undefined) throw outOfRange(`${this.path} is closed`);
    return this.#fd;
  }

  /** Waits until nobody reads: another file might get the descriptor's number. */
  async [Symbol.asyncDispose](): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    await this.#reading?.catch(() => {});
    if (fd !== undefined) closeSync(fd);
  }
}
