/**
 * At most `max` holders at a time, in order of arrival. Released by disposing: `using _ = await limit.acquire(signal)`.
 */
export class Limiter {
  #max: number;
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.#max = max;
    this.#free = max;
  }

  /** Changes how many may hold; those above a smaller number finish first. */
  resize(max: number): void {
    this.#free += max - this.#max;
    this.#max = max;
    while (this.#free > 0 && this.#waiting.size > 0) {
      this.#free--;
      this.#next();
    }
  }

  /** @throws the signal's reason; a waiter whose signal fires gives up its place */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiting.delete(turn);
      reject(signal.reason);
    };
    const turn = () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(turn);
    return promise;
  }

  #release(): void {
    if (this.#free < 0 || this.#waiting.size === 0) this.#free++;
    else this.#next();
  }

  #next(): void {
    const [turn] = this.#waiting;
    if (turn === undefined) return;
    this.#waiting.delete(turn);
    turn();
  }
}
