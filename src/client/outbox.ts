/**
 * The request side of a bidirectional call: what is pushed is sent in order, `end` half-closes. Its users wait for
 * an answer before they push again, so it never holds more than a few messages.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  /** Ignored after {@link end}. */
  push(message: T): void {
    if (this.#ended) return;
    this.#waiting.push(message);
    this.#wake?.();
  }

  /** Idempotent. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) yield message;
      else if (this.#ended) return;
      else await this.#pushed();
    }
  }

  #pushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
