import { type LinkedSignal, linkSignals } from './deadline.ts';

/**
 * Tasks that succeed or fail together: the first failure fires `signal` for the others, and {@link join} waits for all of
 * them before it throws that failure, so nothing of a group runs on after it.
 */
export class TaskGroup {
  readonly #link: LinkedSignal;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(parent: AbortSignal) {
    this.#link = linkSignals(parent, this.#stop.signal);
  }

  /** Fires when the parent's does, or when a task has failed. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  /** Starts a task. The promise it returns may be ignored: {@link join} reports the first failure. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = task();
    const settled: Promise<void> = result.then(
      () => void this.#running.delete(settled),
      (error: unknown) => {
        this.#running.delete(settled);
        this.fail(error);
      },
    );
    this.#running.add(settled);
    return result;
  }

  /** Records a failure that happened outside of a task. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort();
  }

  /** Waits until every task has settled. @throws the first failure */
  async join(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#link[Symbol.dispose]();
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
