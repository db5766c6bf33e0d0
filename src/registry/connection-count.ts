import type { Flow } from './flow-meter.ts';

const limits = {
  /** After one come four. */
  first: 4,
  connections: 8,
  /** From there on, one connection is not what a download waits for. */
  fastBytesPerSecond: 48 * 1024 * 1024,
  /** The reader waits at least so much, else more connections bring nothing. */
  waiting: 0.5,
  /** What more connections must bring to be worth it. */
  gain: 1.25,
  /** Windows that show what several connections bring; the first is the one they begin in. */
  windows: 2,
} as const;

/**
 * How many connections a download is worth: one, until it shows that the reader waits for bytes that come slowly; then
 * four, and eight where four paid. Where more bring nothing it is as many as before.
 */
export class ConnectionCount {
  #now = 1;
  #best = 0;
  #windows = 0;
  #before = 0;
  #fewer = 1;
  #settled = false;

  get now(): number {
    return this.#now;
  }

  /** Judges a window; returns the number to use from now on. */
  judge({ bytesPerSecond, waiting }: Flow): number {
    if (this.#settled) return this.#now;
    this.#windows++;
    this.#best = Math.max(this.#best, bytesPerSecond);
    if (this.#now > 1 && this.#windows < limits.windows) return this.#now;
    if (this.#now > 1 && this.#best < this.#before * limits.gain) return this.#settle(this.#fewer);
    if (waiting < limits.waiting || bytesPerSecond > limits.fastBytesPerSecond) return this.#now;
    if (this.#now >= limits.connections) return this.#settle(this.#now);
    return this.#use(this.#now === 1 ? limits.first : limits.connections);
  }

  /** More than one did not work out: one for good. */
  giveUp(): void {
    this.#settle(1);
  }

  #settle(connections: number): number {
    this.#settled = true;
    this.#now = connections;
    return connections;
  }

  #use(connections: number): number {
    this.#fewer = this.#now;
    this.#before = this.#best;
    this.#best = 0;
    this.#windows = 0;
    this.#now = connections;
    return connections;
  }
}
