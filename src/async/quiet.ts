import { performance } from 'node:perf_hooks';

/** Share of the event loop's time below which a process counts as quiet. */
const quietUtilization = 0.05;

/**
 * Calls `act` when nothing has been going on for `quietMs`: armed by {@link touch}, put off by further touches and
 * by an event loop that is busy without them (a long pull). Never keeps the process alive; costs nothing while armed by nobody.
 */
export class QuietTimer implements Disposable {
  readonly #quietMs: number;
  readonly #act: () => void;
  #timer: NodeJS.Timeout | undefined;
  #since = performance.eventLoopUtilization();

  constructor(quietMs: number, act: () => void) {
    this.#quietMs = quietMs;
    this.#act = act;
  }

  /** Something happened. Cheap: one clock read in most cases. */
  touch(): void {
    if (this.#timer) this.#timer.refresh();
    else this.#arm();
  }

  #arm(): void {
    this.#since = performance.eventLoopUtilization();
    this.#timer = setTimeout(() => this.#fire(), this.#quietMs).unref();
  }

  #fire(): void {
    this.#timer = undefined;
    if (performance.eventLoopUtilization(this.#since).utilization > quietUtilization) this.#arm();
    else this.#act();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
