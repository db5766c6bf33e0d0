import { aborted } from '../errors/error.ts';
import { abortable } from './abortable.ts';

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  callers: number;
}

/**
 * Work that several callers want at once is done once. A caller whose signal fires leaves, the others stay; when the
 * last one leaves, the work's own signal fires. Nothing is kept after the work has ended.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Starts `work`, or joins what runs under `key`. @throws the caller's signal's reason, what `work` throws */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.callers++;
    try {
      return await abortable(flight.result, signal);
    } finally {
      if (--flight.callers === 0) this.#end(key, flight);
    }
  }

  /** Keys of work that runs. */
  get size(): number {
    return this.#flights.size;
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const result = Promise.resolve(controller.signal).then(work);
    const flight: Flight<T> = { result, controller, callers: 0 };
    this.#flights.set(key, flight);
    const forget = () => this.#forget(key, flight);
    result.then(forget, forget);
    return flight;
  }

  #end(key: string, flight: Flight<T>): void {
    // Whoever comes now must not join work that has been told to stop.
    this.#forget(key, flight);
    flight.controller.abort(aborted('nobody waits for this any more'));
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
