import { abortable } from './abortable.ts';

/** What a piece of work gets: a signal that fires when nobody wants it any more, and a way to tell all who do. */
type Work<Step> = (signal: AbortSignal, tell: (step: Step) => void) => Promise<void>;

interface Flight<Step> {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  readonly seats: Set<{ readonly tell: (step: Step) => void }>;
  last: Step | undefined;
}

/**
 * Single flight: work that several callers want at the same time is done once. A caller whose signal fires leaves the
 * others alone; when the last one leaves, the work is cancelled, and only then is waited for.
 */
export class Flights<Step> {
  readonly #running = new Map<string, Flight<Step>>();

  /**
   * Joins what is under way for `key`, or starts `work`. `tell` hears the latest step at once and all that follow.
   * @throws what the work throws (to everybody), the signal's reason
   */
  async join(key: string, signal: AbortSignal, tell: (step: Step) => void, work: Work<Step>): Promise<void> {
    signal.throwIfAborted();
    // One that was given up is waited for: it still holds what the next one needs.
    for (let old = this.#givenUp(key); old !== undefined; old = this.#givenUp(key))
      await abortable(settled(old), signal);
    const flight = this.#running.get(key) ?? this.#start(key, work);
    const seat = { tell };
    flight.seats.add(seat);
    if (flight.last !== undefined) tell(flight.last);
    try {
      await abortable(flight.done, signal);
    } finally {
      flight.seats.delete(seat);
      if (flight.seats.size === 0) await cancel(flight, signal.reason);
    }
  }

  /** Keys under way. */
  get size(): number {
    return this.#running.size;
  }

  #givenUp(key: string): Flight<Step> | undefined {
    const flight = this.#running.get(key);
    return flight?.stop.signal.aborted ? flight : undefined;
  }

  #start(key: string, work: Work<Step>): Flight<Step> {
    const stop = new AbortController();
    const tell = (step: Step) => {
      flight.last = step;
      for (const seat of flight.seats) seat.tell(step);
    };
    const begun = Promise.withResolvers<void>();
    const done = begun.promise.then(() => work(stop.signal, tell)).finally(() => this.#running.delete(key));
    const flight: Flight<Step> = { done, stop, seats: new Set(), last: undefined };
    this.#running.set(key, flight);
    begun.resolve();
    return flight;
  }
}

const settled = <Step>({ done }: Flight<Step>): Promise<void> => done.catch(() => {});

async function cancel<Step>(flight: Flight<Step>, reason: unknown): Promise<void> {
  flight.stop.abort(reason);
  await settled(flight);
}
