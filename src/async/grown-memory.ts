import { setTimeout as sleep } from 'node:timers/promises';

/** Resident bytes that must have been added since the last time before it is worth a garbage collection. */
const worthwhileBytes = 8 * 2 ** 20;
/** What outlives its work by a moment (16 MB after a pull) is not free yet at the first pass. */
const betweenPassesMs = 5_000;
const maxPasses = 6;
/** The pages of threads that ended after five idle seconds went only with the third (18 of 46 MB after a small pull). */
const enoughIdlePasses = 3;
/** Share of time that the event loop may be busy between passes; above it, whoever is at work will be quiet again. */
const busyUtilization = 0.2;
/** Above it something was done between passes: a small pull is 250 ms of 5 s. */
const idleUtilization = 0.01;

/** Gives memory back in quiet moments, where the process has grown since the last of them. */
export class GrownMemory {
  readonly #giveBack: () => Promise<void>;
  readonly #betweenMs: number;
  /** After the last pass; 0 where work went on around it: what it leaves is no growth, and is looked at all the same. */
  #residentBytes = 0;
  #passing = false;
  /** Asked for once more while passes go on. */
  #wanted = false;

  /** Between passes of `giveBack`, which must not throw, `betweenMs` go by. Default: 5 000. */
  constructor(giveBack: () => Promise<void>, betweenMs: number = betweenPassesMs) {
    this.#giveBack = giveBack;
    this.#betweenMs = betweenMs;
  }

  /**
   * Gives back what is free, when the process has grown by 8 MiB since this was called last; then again, until it grows no
   * longer (threads that end touch what was given back) after three passes in a row with nothing done behind them, or until it
   * is at work. Calls meanwhile start it over.
   */
  async giveBack(): Promise<void> {
    if (!this.#hasGrown()) return;
    this.#wanted = true;
    if (this.#passing) return;
    this.#passing = true;
    let idlePasses = 0;
    for (let pass = 1; pass <= maxPasses; pass++) {
      if (this.#wanted) pass = 1;
      this.#wanted = false;
      await this.#giveBack();
      this.#residentBytes = process.memoryUsage.rss();
      const since = performance.eventLoopUtilization();
      await sleep(this.#betweenMs, undefined, { ref: false });
      const { utilization } = performance.eventLoopUtilization(since);
      idlePasses = utilization > idleUtilization ? 0 : idlePasses + 1;
      if (this.#wanted) continue;
      if (utilization > busyUtilization || (idlePasses >= enoughIdlePasses && !this.#hasGrown())) break;
    }
    if (idlePasses < enoughIdlePasses) this.#residentBytes = 0;
    this.#passing = false;
  }

  #hasGrown(): boolean {
    return process.memoryUsage.rss() > this.#residentBytes + worthwhileBytes;
  }
}
