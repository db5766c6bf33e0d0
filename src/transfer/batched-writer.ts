/** What is written at a time. */
const batchBytes = 1 << 20;
/** What came is written after this long at the latest, so that little is lost when a slow connection breaks. */
const batchMs = 120;

/**
 * Gathers small chunks (a socket gives 64 KiB at most) and writes them a megabyte at a time, one batch while the next
 * one comes: each write is a trip to another thread. Takes two megabytes, whatever goes through.
 */
export class BatchedWriter {
  readonly #write: (data: Uint8Array) => Promise<void>;
  readonly #size: number;
  #filling: Buffer;
  #resting: Buffer | undefined;
  #filled = 0;
  #writing = Promise.resolve();
  #isWriting = false;
  #timer: NodeJS.Timeout | undefined;

  /** `write` is called with memory that is used again when its promise has settled. */
  constructor(write: (data: Uint8Array) => Promise<void>, expectedBytes: number) {
    this.#write = write;
    this.#size = Math.max(1, Math.min(batchBytes, expectedBytes));
    this.#filling = Buffer.allocUnsafeSlow(this.#size);
  }

  /** Takes a copy. The returned promise is back-pressure, and fails when an earlier write did. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.length; ) {
      const part = chunk.subarray(taken, taken + this.#size - this.#filled);
      this.#filling.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === this.#size) await this.#flush();
    }
    if (this.#filled > 0) this.#timer ??= setTimeout(() => this.#late(), batchMs);
  }

  /** Waits until everything is written. */
  async end(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  #late(): void {
    this.#timer = undefined;
    if (!this.#isWriting)
      void this.#flush().catch(() => {}); // the next call meets it
    else this.#timer = setTimeout(() => this.#late(), batchMs);
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    do await this.#writing;
    while (this.#isWriting);
    const batch = this.#filling.subarray(0, this.#filled);
    if (batch.length === 0) return;
    [this.#filling, this.#resting] = [this.#resting ?? Buffer.allocUnsafeSlow(this.#size), this.#filling];
    this.#filled = 0;
    this.#isWriting = true;
    this.#writing = this.#write(batch).finally(() => {
      this.#isWriting = false;
    });
    this.#writing.catch(() => {});
  }
}
