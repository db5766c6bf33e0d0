import { type LinkedSignal, linkSignals } from '../async/deadline.ts';
import type { Limiter } from '../async/limiter.ts';

/** Bytes of one range, and how many ranges of a blob may wait for their turn. */
export const rangeLimits = { bytes: 3 * 1024 * 1024, ahead: 10 } as const;

/** Fetches [start, end) of a blob, whole. Calls `accepted` when the answer promises exactly that. @throws when it does not */
export type FetchRange = (
  start: number,
  end: number,
  signal: AbortSignal,
  accepted: () => void,
) => Promise<readonly Uint8Array[]>;

interface Range {
  readonly start: number;
  readonly slot: Disposable;
  /** Undefined when they could not be had. */
  readonly chunks: Promise<readonly Uint8Array[] | undefined>;
}

/**
 * Connections that fetch ranges of a blob ahead of its reader, who takes them in order. Each range holds a slot of
 * `slots` from when it is asked for until its bytes are taken: that bounds memory, whatever the blobs. When a range
 * cannot be had the crew stops; the reader goes on without it from where it is.
 */
export class RangeCrew implements Disposable {
  /** Where its first range begins. */
  readonly start: number;
  readonly #fetch: FetchRange;
  readonly #slots: Limiter;
  readonly #size: number;
  readonly #link: LinkedSignal;
  readonly #ranges: Range[] = [];
  readonly #asleep = new Set<() => void>();
  #next: number;
  #workers = 0;
  #wanted = 0;
  #state: 'new' | 'proven' | 'stopped' = 'new';

  constructor(fetch: FetchRange, slots: Limiter, start: number, size: number, signal: AbortSignal) {
    this.#fetch = fetch;
    this.#slots = slots;
    this.start = start;
    this.#next = start;
    this.#size = size;
    this.#link = linkSignals(signal);
  }

  /** Whether the host has been seen to give ranges, and a range has never failed. */
  get works(): boolean {
    return this.#state === 'proven';
  }

  get stopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Whether it was sent away and has nothing left to give. */
  get idle(): boolean {
    return this.#wanted + this.#workers + this.#ranges.length === 0;
  }

  /** Sets how many connections there are. Those that are too many finish what they have. */
  resize(connections: number): void {
    this.#wanted = connections;
    for (let missing = connections - this.#workers; missing > 0 && !this.stopped; missing--) {
      this.#workers++;
      void this.#work().catch(() => this.#stop());
    }
  }

  /** The bytes that begin at `offset`; undefined when nobody has asked for them, or they cannot be had. */
  async take(offset: number): Promise<readonly Uint8Array[] | undefined> {
    const [range] = this.#ranges;
    if (range?.start !== offset) return undefined;
    const chunks = await range.chunks;
    if (this.#ranges.shift() === range) range.slot[Symbol.dispose]();
    this.#wake();
    return chunks;
  }

  /** Leaves what begins at `offset` to the reader, which nobody has asked for; returns where that ends. */
  leave(offset: number): number {
    if (offset === this.#next) this.#next = Math.min(this.#size, offset + rangeLimits.bytes);
    return this.#ranges[0]?.start ?? this.#next;
  }

  async #work(): Promise<void> {
    try {
      while (!this.stopped && this.#workers <= this.#wanted && this.#next < this.#size) {
        if (this.#ranges.length >= rangeLimits.ahead) await this.#sleep();
        else await this.#fetchNext(await this.#slots.acquire(this.#link.signal));
      }
    } finally {
      this.#workers--;
    }
  }

  async #fetchNext(slot: Disposable): Promise<void> {
    const start = this.#next;
    const end = Math.min(this.#size, start + rangeLimits.bytes);
    if (this.stopped || start >= end) return slot[Symbol.dispose]();
    this.#next = end;
    const chunks = this.#fetch(start, end, this.#link.signal, () => this.#prove()).catch(() => this.#stop());
    this.#ranges.push({ start, slot, chunks });
    await chunks;
  }

  #prove(): void {
    if (this.#state === 'new') this.#state = 'proven';
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => this.#asleep.add(resolve));
  }

  #wake(): void {
    for (const wake of this.#asleep) wake();
    this.#asleep.clear();
  }

  #stop(): undefined {
    this.#state = 'stopped';
    this.#wake();
  }

  /** Ends all connections and gives back the slots. */
  [Symbol.dispose](): void {
    this.#stop();
    this.#link.abort(new Error('the download is over'));
    this.#link[Symbol.dispose]();
    for (const { slot } of this.#ranges.splice(0)) slot[Symbol.dispose]();
  }
}
