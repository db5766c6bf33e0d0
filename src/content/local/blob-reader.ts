import type { FileHandle } from 'node:fs/promises';
import { outOfRange, resourceExhausted } from '../../errors/error.ts';
import type { ContentReader } from '../store.ts';

const chunkBytes = 1 << 20;

/** Reads one blob file. Holds the file open, so a blob that is deleted meanwhile is still read to its end. */
export class BlobReader implements ContentReader {
  readonly sizeBytes: number;
  readonly path: string;
  readonly #file: FileHandle;

  constructor(file: FileHandle, path: string, sizeBytes: number) {
    this.#file = file;
    this.path = path;
    this.sizeBytes = sizeBytes;
  }

  async *stream(offset = 0, end = this.sizeBytes): AsyncIterable<Uint8Array> {
    if (offset < 0 || offset > this.sizeBytes) {
      throw outOfRange(`read past object length ${this.sizeBytes} bytes`);
    }
    const last = Math.min(end, this.sizeBytes);
    // The next chunk is read while the consumer works on this one.
    let ahead = offset < last ? this.#read(offset, last) : undefined;
    for (let position = offset; ahead; ) {
      const chunk = await ahead;
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
    const { bytesRead } = await this.#file.read(target, 0, target.length, position);
    if (bytesRead === 0 && target.length > 0) throw outOfRange(`${this.path} ends at ${position} bytes`);
    return bytesRead;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
