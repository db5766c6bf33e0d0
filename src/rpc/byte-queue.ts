/** Bytes as they come in, to be taken out in other pieces; joins only as many chunks as a piece needs. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #length = 0;

  /** Bytes that are held. */
  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** At least `length` bytes in front, which must be held; they stay. */
  peek(length: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= length) return first;
    let count = 0;
    for (let have = 0; have < length; count++) have += this.#chunks[count]?.length ?? length;
    const joined = Buffer.concat(this.#chunks.slice(0, count));
    this.#chunks.splice(0, count, joined);
    return joined;
  }

  /** Removes exactly `length` bytes, which must be held, from the front. */
  take(length: number): Buffer {
    const front = this.peek(length);
    if (front.length === length) this.#chunks.shift();
    else this.#chunks[0] = front.subarray(length);
    this.#length -= length;
    return front.subarray(0, length);
  }
}
