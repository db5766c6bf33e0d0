/** Lines on their way into a log file: memory used again for each batch, because garbage of that size is slow to go. */
export class LineBuffer {
  #bytes = Buffer.allocUnsafeSlow(256 * 1024);
  #length = 0;

  /** What has been put in since it was empty; good until something more is. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** `latin1`: one byte a character, as the bytes were read; `utf8`: what JSON is written in. */
  text(text: string, encoding: 'latin1' | 'utf8'): void {
    this.#ensure(encoding === 'latin1' ? text.length : text.length * 3);
    this.#length += this.#bytes.write(text, this.#length, encoding);
  }

  /** The bytes from `start` to `end` as they are. */
  copy(bytes: Buffer, start: number, end: number): void {
    this.#ensure(end - start);
    this.#length += bytes.copy(this.#bytes, this.#length, start, end);
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    this.bytes.copy(larger);
    this.#bytes = larger;
  }
}
