/** How long a host that could not be reached is left alone; doubles with each failure in a row. */
const restMs = { first: 15_000, most: 5 * 60_000 } as const;
/** The longest pause that everybody keeps because one was asked to. */
const sharedPauseMs = 60_000;
const limit = 1_000;

interface Health {
  failures: number;
  /** On the monotonic clock. */
  restsUntilMs: number;
  /** Until then the host has asked to be left alone (Retry-After). */
  pausesUntilMs: number;
}

/**
 * What is known about hosts from how they answered, shared by everything that goes on at once: a mirror that cannot be
 * reached costs one timeout, not one for each blob, and a host that asks for patience gets it from everybody.
 */
export class HostHealth {
  readonly #hosts = new Map<string, Health>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether a host with others to turn to is worth a try. After its rest it gets one. */
  isWorthATry(origin: string): boolean {
    const health = this.#hosts.get(origin);
    if (health === undefined) return true;
    const now = this.#now();
    if (health.pausesUntilMs > now || health.restsUntilMs > now) return false;
    // Whoever asks first tries it; the others go on leaving it alone until that try has come to something.
    if (health.failures > 0) health.restsUntilMs = now + restMs.first;
    return true;
  }

  /** Milliseconds that the host still wants to be left alone. */
  pauseMs(origin: string): number {
    return Math.max(0, (this.#hosts.get(origin)?.pausesUntilMs ?? 0) - this.#now());
  }

  /** The host could not be reached, or did not answer in time. */
  failed(origin: string): void {
    const health = this.#of(origin);
    health.failures = Math.min(health.failures + 1, 16);
    const rest = Math.min(restMs.most, restMs.first * 2 ** (health.failures - 1));
    health.restsUntilMs = this.#now() + rest;
  }

  /** The host answered, whatever it said. */
  answered(origin: string): void {
    const health = this.#hosts.get(origin);
    if (health === undefined) return;
    if (health.pausesUntilMs <= this.#now()) this.#hosts.delete(origin);
    else health.failures = 0;
  }

  /**
   * The host asks for patience (Retry-After). For long it gets that from those only who can turn elsewhere: another
   * account may still be welcome.
   */
  asked(origin: string, retryAfterMs: number): void {
    const health = this.#of(origin);
    health.restsUntilMs = this.#now() + Math.min(retryAfterMs, restMs.most);
    if (retryAfterMs > sharedPauseMs) return;
    health.pausesUntilMs = Math.max(health.pausesUntilMs, this.#now() + retryAfterMs);
  }

  #of(origin: string): Health {
    const known = this.#hosts.get(origin);
    if (known !== undefined) return known;
    const [oldest] = this.#hosts.keys();
    if (this.#hosts.size >= limit && oldest !== undefined) this.#hosts.delete(oldest);
    const health = { failures: 0, restsUntilMs: 0, pausesUntilMs: 0 };
    this.#hosts.set(origin, health);
    return health;
  }
}
