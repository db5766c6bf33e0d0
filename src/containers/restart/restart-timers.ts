import { type BackOff, waitMs } from '../../oci/back-off.ts';

/** A task that ran so long did not end quickly: the next wait is the first one again. */
const healthyMs = 10_000;

interface Entry {
  quickEnds: number;
  startedMs: number;
  timer: NodeJS.Timeout | undefined;
}

/** When each container with a back-off is due. Disposing forgets them all. */
export class RestartTimers implements Disposable {
  readonly #entries = new Map<string, Entry>();

  isPending(key: string): boolean {
    return this.#entries.get(key)?.timer !== undefined;
  }

  /** Calls `due` once the wait of a task that has ended is over. One that is pending stays. */
  ended(key: string, backOff: BackOff, due: () => void): void {
    const entry = this.#entries.get(key) ?? { quickEnds: 0, startedMs: Number.NaN, timer: undefined };
    if (entry.timer !== undefined) return;
    const quick = performance.now() - entry.startedMs < healthyMs;
    entry.quickEnds = quick ? entry.quickEnds + 1 : 0;
    entry.timer = setTimeout(
      () => {
        entry.timer = undefined;
        due();
      },
      waitMs(backOff, entry.quickEnds),
    ).unref();
    this.#entries.set(key, entry);
  }

  /** A restart is being tried now. */
  started(key: string): void {
    const entry = this.#entries.get(key) ?? { quickEnds: 0, startedMs: 0, timer: undefined };
    entry.startedMs = performance.now();
    this.#entries.set(key, entry);
  }

  /** Nobody restarts it any more. */
  forget(key: string): void {
    clearTimeout(this.#entries.get(key)?.timer);
    this.#entries.delete(key);
  }

  /** Forgets all but these. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of [...this.#entries.keys()]) if (!keys.has(key)) this.forget(key);
  }

  [Symbol.dispose](): void {
    for (const key of [...this.#entries.keys()]) this.forget(key);
  }
}
