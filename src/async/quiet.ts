import { performance } from 'node:perf_hooks';

/** Share of the event loop's time below which a process counts as quiet. */
const quietUtilization = 0.05;

/**
 * Calls `act` when nothing has been going on for `quietMs`, and before twice that: armed by {@link touch}, put off by further touches
 * and by an event loop that is busy without them (a long pull). Never keeps the process alive; costs nothing while armed by nobody.
 */
export class QuietTimer implements Disposable {
  readonly #quietMs: number;
  readonly #act: () => void;
  #timer: NodeJS.Timeout | undefined;
  #touched = false;
  #since = performance.eventLoopUtilization();

  constructor(quietMs: number, act: () => void) {
    this.#quietMs = quietMs;
    this.#act = act;
  }

  /** Something happened. Cheap: a mark in most cases. */
  touch(): void {
    if (this.#timer) this.#touched = true;
    else this.#arm();
  }

  #arm(): void {
    this.#touched = false;
    this.#since = performance.eventLoopUtilization();
    this.#timer = setTimeout(() => this.#fire(), this.#quietMs).unref();
  }

  #fire(): void {
    this.#timer = undefined;
    const busy = performance.eventLoopUtilization(this.#since).utilization > quietUtilization;
    if (this.#touched || busy) this.#arm();
    else this.#act();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
