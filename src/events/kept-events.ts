import type { Envelope } from './events.ts';

const maxKept = 16_384;

/** An event with the sets of filters whose subscribers have had it. */
interface Kept {
  readonly envelope: Envelope;
  readonly toldTo: Set<string>;
}

/**
 * What happened to tasks while their daemon was away, and until its clients are back: each subscriber that comes meanwhile gets it first.
 * A client is known by its filters, so that one that subscribes again hears nothing twice. Bounded in number and time.
 */
export class KeptEvents {
  #kept: Kept[] = [];
  #untilMs: number;

  constructor(forMs: number) {
    this.#untilMs = Date.now() + forMs;
    setTimeout(() => this.#end(), forMs).unref();
  }

  /** Keeps an event. @param toldTo keys of the subscribers who have it now */
  add(envelope: Envelope, toldTo: Iterable<string>): void {
    if (Date.now() > this.#untilMs) return;
    if (this.#kept.length === maxKept) this.#kept.shift();
    this.#kept.push({ envelope, toldTo: new Set(toldTo) });
  }

  /** What a subscriber who comes now has missed, oldest first. */
  *takeFor(key: string): Generator<Envelope> {
    for (const { envelope, toldTo } of this.#kept) {
      if (toldTo.has(key)) continue;
      toldTo.add(key);
      yield envelope;
    }
  }

  #end(): void {
    this.#untilMs = 0;
    this.#kept = [];
  }
}

/** The key of a subscriber: its filters. */
export const keyOf = (filters: readonly string[]): string => JSON.stringify(filters);
