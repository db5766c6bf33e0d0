import { abortable } from './abortable.ts';

/**
 * One holder a key, in order of arrival. Released by disposing: `using _ = await locks.acquire(key, signal)`.
 * A waiter whose signal fires gives up its place.
 */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** @throws the signal's reason */
  async acquire(key: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => released);
    this.#tails.set(key, tail);
    void tail.then(() => this.#forget(key, tail));
    try {
      await abortable(before, signal);
    } catch (error) {
      release();
      throw error;
    }
    return { [Symbol.dispose]: release };
  }

  /** Keys that are held or waited for. */
  get size(): number {
    return this.#tails.size;
  }

  #forget(key: string, tail: Promise<void>): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
  }
}
