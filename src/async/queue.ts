import { aborted } from '../errors/error.ts';
import { abortable } from './abortable.ts';

/**
 * A queue between tasks that holds at most `max` items: `push` waits for room, one reader takes them with `for await`.
 * A reader that leaves its loop closes the queue.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  readonly #max: number;
  #changed = Promise.withResolvers<void>();
  #closed = false;
  #error: unknown;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Waits while the queue is full. @throws aborted once it is closed, the signal's reason */
  async push(item: T, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (!this.#closed && this.#items.length >= this.#max) await abortable(this.#changed.promise, signal);
    if (!this.tryPush(item)) throw aborted('queue is closed');
  }

  /** @returns false where the queue is full or closed: the item is not taken */
  tryPush(item: T): boolean {
    if (this.#closed || this.#items.length >= this.#max) return false;
    this.#items.push(item);
    this.#wake();
    return true;
  }

  /** No more items: the reader gets those that are there, then the end, or `error` thrown. Idempotent; the first counts. */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        while (this.#items.length > 0) yield this.#take();
        if (this.#closed) break;
        await this.#changed.promise;
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.close();
    }
  }

  #take(): T {
    const [item] = this.#items.splice(0, 1);
    this.#wake();
    return item as T;
  }

  /** Everybody who waits looks again. */
  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
