import { outOfRange, resourceExhausted } from '../../errors/error.ts';
import type { ContentReader } from '../store.ts';

/** A blob that was small enough to be read at once (see open-blob.ts). */
export class SmallBlob implements ContentReader {
  readonly path: string;
  readonly #data: Uint8Array;

  constructor(path: string, data: Uint8Array) {
    this.path = path;
    this.#data = data;
  }

  get sizeBytes(): number {
    return this.#data.length;
  }

  async *stream(offset = 0, end = this.sizeBytes): AsyncIterable<Uint8Array> {
    if (offset < 0 || offset > this.sizeBytes)
      throw outOfRange(`read past object length ${this.sizeBytes} bytes`);
    if (offset < Math.min(end, this.sizeBytes)) yield this.#data.subarray(offset, end);
  }

  async bytes(limitBytes: number): Promise<Uint8Array> {
    if (this.sizeBytes > limitBytes)
      throw resourceExhausted(`blob of ${this.sizeBytes} bytes is larger than ${limitBytes} bytes`);
    return this.#data;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
