/** How far back speed is looked at: long enough to be steady, short enough to notice a change. */
const windowMs = 5_000;
const sampleMs = 100;

/** How fast a counter grows. Remembers the last five seconds, at most fifty values of them. */
export class Meter {
  readonly #samples: { readonly atMs: number; readonly count: number }[] = [];

  /** Notes what the counter says at a moment (milliseconds of a steady clock). */
  note(count: number, atMs: number = performance.now()): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && atMs - last.atMs < sampleMs) return;
    this.#samples.push({ atMs, count });
    this.#forget(atMs);
  }

  /** Growth in units a second, over the time that is remembered; 0 when nothing has moved in it. */
  perSecond(count: number, atMs: number = performance.now()): number {
    this.#forget(atMs);
    const first = this.#samples[0];
    if (first === undefined || atMs <= first.atMs) return 0;
    return Math.max(0, ((count - first.count) * 1000) / (atMs - first.atMs));
  }

  #forget(atMs: number): void {
    while ((this.#samples[0]?.atMs ?? atMs) < atMs - windowMs) this.#samples.shift();
  }
}
