const windowMs = 250;

/** What one window of a download showed. */
export interface Flow {
  readonly bytesPerSecond: number;
  /** Share of the time that the reader waited for bytes, 0 to 1. The rest was its own work. */
  readonly waiting: number;
}

/** Measures a download: how fast bytes come from all its connections, and whether the reader waits for them. */
export class FlowMeter {
  readonly #now: () => number;
  #since: number;
  #bytes = 0;
  #waitedMs = 0;
  /** Since when the reader waits. */
  #asked = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** Bytes that came over any connection. */
  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Bytes that went past the reader, into a file; what put them there waited so long for them, not the reader. */
  poured(bytes: number, waitedMs: number): void {
    this.received(bytes);
    this.#waitedMs += waitedMs;
    this.#asked = this.#now();
  }

  /** Passes chunks on and notes how long the reader waited for each. */
  async *watch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#asked = this.#now();
    for await (const chunk of chunks) {
      this.#waitedMs += this.#now() - this.#asked;
      yield chunk;
      this.#asked = this.#now();
    }
  }

  /** The flow since the last answer, once that is long enough ago to mean something; a new window begins then. */
  take(): Flow | undefined {
    const elapsedMs = this.#now() - this.#since;
    if (elapsedMs < windowMs) return undefined;
    const flow = {
      bytesPerSecond: (this.#bytes * 1000) / elapsedMs,
      waiting: Math.min(1, this.#waitedMs / elapsedMs),
    };
    this.restart();
    return flow;
  }

  restart(): void {
    this.#since = this.#now();
    this.#bytes = 0;
    this.#waitedMs = 0;
  }
}
