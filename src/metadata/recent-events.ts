import type { RecordedEvent } from '../events/journal.ts';

/** How much of the journal's end is kept in memory, for the many that follow it. */
const maxCount = 1024;
const maxBytes = 4 * 1024 * 1024;

/** The end of the journal, and who waits for more. */
export class RecentEvents {
  #events: RecordedEvent[] = [];
  #bytes = 0;
  /** Every delivered event after this number is here. */
  #floor: number;
  #last: number;
  #waiting = new Set<() => void>();

  constructor(last: number) {
    this.#floor = last;
    this.#last = last;
  }

  /** Number of the last event that was delivered. */
  get last(): number {
    return this.#last;
  }

  /** Adds the next event and wakes who waits. */
  add(event: RecordedEvent): void {
    this.#events.push(event);
    this.#last = event.id;
    this.#bytes += event.event.value.byteLength;
    if (this.#events.length > maxCount || this.#bytes > maxBytes) this.#forgetHalf();
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Events after `position`; undefined when some of them are not here any more. */
  after(position: number): readonly RecordedEvent[] | undefined {
    if (position < this.#floor) return undefined;
    if (position >= this.#last) return [];
    return this.#events.slice(this.#events.findIndex(({ id }) => id > position));
  }

  /** Resolves when there is an event after `position`, or `signal` fires. */
  async changed(position: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#last > position) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    this.#waiting.delete(resolve);
  }

  #forgetHalf(): void {
    const gone = this.#events.splice(0, Math.ceil(this.#events.length / 2));
    this.#floor = gone.at(-1)?.id ?? this.#floor;
    this.#bytes = this.#events.reduce((sum, { event }) => sum + event.value.byteLength, 0);
  }
}
