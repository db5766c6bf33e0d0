interface Waiter {
  readonly turn: () => void;
}

/**
 * Slots that groups share: who holds fewest comes next, in order of arrival among equals. A group that holds none does
 * not wait for those that hold many: up to `spare` slots beyond `max` are for first holders only.
 */
export class FairLimiter {
  readonly #spare: number;
  readonly #held = new Map<string, number>();
  readonly #waiting = new Map<string, Set<Waiter>>();
  #max: number;
  #total = 0;

  constructor(max: number, spare = 0) {
    this.#max = max;
    this.#spare = spare;
  }

  /** Changes how many may hold; those above a smaller number finish first. */
  resize(max: number): void {
    this.#max = max;
    this.#grant();
  }

  /** Released by disposing. @throws the signal's reason; a waiter whose signal fires gives up its place */
  async acquire(group: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { turn: resolve };
    const queue = this.#waiting.get(group) ?? new Set();
    this.#waiting.set(group, queue.add(waiter));
    const onAbort = () => {
      if (this.#leave(group, waiter)) reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#grant();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return this.#slot(group);
  }

  #slot(group: string): Disposable {
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#count(group, -1);
        this.#grant();
      },
    };
  }

  #grant(): void {
    for (let group = this.#next(); group !== undefined; group = this.#next()) {
      const [waiter] = this.#waiting.get(group) ?? [];
      if (waiter === undefined) return;
      this.#leave(group, waiter);
      this.#count(group, 1);
      waiter.turn();
    }
  }

  /** The group that gets a slot now; undefined when none waits or none may. */
  #next(): string | undefined {
    let best: string | undefined;
    for (const group of this.#waiting.keys())
      if (best === undefined || this.#heldBy(group) < this.#heldBy(best)) best = group;
    if (best === undefined) return undefined;
    const limit = this.#heldBy(best) === 0 ? this.#max + this.#spare : this.#max;
    return this.#total < limit ? best : undefined;
  }

  #heldBy(group: string): number {
    return this.#held.get(group) ?? 0;
  }

  #count(group: string, change: 1 | -1): void {
    const held = this.#heldBy(group) + change;
    this.#total += change;
    if (held === 0) this.#held.delete(group);
    else this.#held.set(group, held);
  }

  #leave(group: string, waiter: Waiter): boolean {
    const queue = this.#waiting.get(group);
    if (queue === undefined || !queue.delete(waiter)) return false;
    this.#waiting.delete(group);
    // Behind the others that wait as long.
    if (queue.size > 0) this.#waiting.set(group, queue);
    return true;
  }
}
