const chunkBytes = 64 * 1024;
/** From this length on, bytes are copied once, at the end, instead of twice. */
const apartBytes = 512;
const shortText = 32;

/** Where every message starts to be written: what is written is copied out before the next one starts. */
const firstChunk = Buffer.allocUnsafeSlow(chunkBytes);

/**
 * Writes bytes from the last to the first, so that the length of a nested message is known when its head is written: nothing
 * is measured twice, and nothing moved. Used from one `new` to its {@link finish} without a pause; two at a time share bytes.
 */
export class ReverseWriter {
  /** What is full, the last first. */
  readonly #full: Uint8Array[] = [];
  #fullBytes = 0;
  #chunk = firstChunk;
  /** Bytes of the chunk from here on are written. */
  #at = chunkBytes;

  /** Bytes written so far. */
  get length(): number {
    return this.#fullBytes + this.#chunk.length - this.#at;
  }

  /** A whole number from 0 to 2^53 - 1 as a varint. */
  varint(value: number): void {
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
    let at = this.#room(size);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#chunk[at++] = (rest % 0x80) | 0x80;
    this.#chunk[at] = rest;
  }

  /** Bytes; long ones must not change before {@link finish}. */
  bytes(value: Uint8Array): void {
    if (value.length >= apartBytes) {
      this.#putApart(value);
      return;
    }
    const at = this.#room(value.length);
    this.#chunk.set(value, at);
  }

  /** UTF-8. */
  text(value: string): void {
    if (value.length <= shortText && this.#ascii(value)) return;
    const size = Buffer.byteLength(value);
    if (size >= apartBytes) {
      this.#putApart(Buffer.from(value));
      return;
    }
    const at = this.#room(size);
    this.#chunk.write(value, at, size, 'utf8');
  }

  /** All that was written, behind `room` bytes that are left to the caller. */
  finish(room: number): Buffer {
    const out = Buffer.allocUnsafe(room + this.length);
    let at = room;
    for (const part of [this.#chunk.subarray(this.#at), ...this.#full.reverse()]) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  /** @returns whether it was: another text leaves nothing. */
  #ascii(value: string): boolean {
    const { length } = value;
    const at = this.#room(length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.#at += length;
        return false;
      }
      this.#chunk[at + i] = code;
    }
    return true;
  }

  /** Takes `size` bytes, at most a chunk. @returns where they start */
  #room(size: number): number {
    if (this.#at < size) {
      this.#seal();
      this.#chunk = Buffer.allocUnsafeSlow(chunkBytes);
      this.#at = chunkBytes;
    }
    this.#at -= size;
    return this.#at;
  }

  #putApart(value: Uint8Array): void {
    this.#seal();
    this.#full.push(value);
    this.#fullBytes += value.length;
  }

  /** What is left of the chunk in front goes on being written. */
  #seal(): void {
    const written = this.#chunk.subarray(this.#at);
    this.#full.push(written);
    this.#fullBytes += written.length;
    this.#chunk = this.#chunk.subarray(0, this.#at);
  }
}
