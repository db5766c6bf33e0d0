import type { Log } from '../async/context.ts';
import { unavailable } from '../errors/error.ts';
import type { Changes } from './changes.ts';
import type { Db } from './db.ts';
import type { Collection } from './gc.ts';

/** When to collect; names and defaults are containerd's (plugin io.containerd.gc.v1.scheduler). */
export interface GcConfig {
  /** Share of time that collections may take, at most 0.5. */
  readonly pauseThreshold: number;
  /** Collect after this many deletions; 0: after the first, at the next scheduled time. */
  readonly deletionThreshold: number;
  /** Collect at the next scheduled time after this many mutations; 0: never because of mutations. */
  readonly mutationThreshold: number;
  /** From the reason to collect to the collection. */
  readonly scheduleDelayMs: number;
  /** From the daemon's start to the first collection. */
  readonly startupDelayMs: number;
}

/** containerd's defaults. */
export const defaultGcConfig: GcConfig = {
  pauseThreshold: 0.02,
  deletionThreshold: 0,
  mutationThreshold: 100,
  scheduleDelayMs: 0,
  startupDelayMs: 100,
};

/** A collection counts as this long at least, so that tiny ones do not follow each other at once. */
const minimumMs = 5;

/** Runs collections one at a time: after deletions, after many mutations, or when somebody waits for one. */
export class GcScheduler implements AsyncDisposable {
  readonly #config: GcConfig;
  readonly #collect: () => Promise<Collection>;
  readonly #changes: Changes;
  readonly #log: Log;
  #mutations = 0;
  #seenDeletions = 0;
  #totalMs = 0;
  #collections = 0;
  #intervalMs = 1000;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #running: Promise<Collection> | undefined;
  #next: Promise<Collection> | undefined;
  #closed = false;

  constructor(
    db: Db,
    changes: Changes,
    collect: () => Promise<Collection>,
    log: Log,
    config = defaultGcConfig,
  ) {
    this.#config = config;
    this.#collect = collect;
    this.#changes = changes;
    this.#log = log;
    db.onCommit((mutations) => {
      if (this.#running) return;
      this.#mutations += mutations;
      this.#consider();
    });
  }

  /** Schedules the first collection. */
  start(): void {
    this.#schedule(this.#config.startupDelayMs);
  }

  /**
   * A collection that began after the call, and all that it removes gone from the disk; callers that wait together
   * share one. @throws unavailable (closed)
   */
  async collectNow(): Promise<Collection> {
    if (this.#closed) throw unavailable('garbage collection is stopped');
    const collection = await this.#begin();
    await collection.gone;
    return collection;
  }

  #begin(): Promise<Collection> {
    if (!this.#running) return this.#run();
    this.#next ??= this.#running.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }

  get #deletions(): number {
    return this.#changes.deletions - this.#seenDeletions;
  }

  #isDue(): boolean {
    const { mutationThreshold } = this.#config;
    return (
      this.#collections === 0 ||
      this.#deletions > 0 ||
      (mutationThreshold > 0 && this.#mutations >= mutationThreshold)
    );
  }

  #consider(): void {
    const { deletionThreshold, scheduleDelayMs } = this.#config;
    if (this.#collections === 0 || !this.#isDue()) return;
    if (deletionThreshold > 0 && this.#deletions >= deletionThreshold) this.#schedule(scheduleDelayMs);
    else if (this.#timer === undefined) this.#schedule(Math.max(scheduleDelayMs, this.#intervalMs));
  }

  #schedule(delayMs: number): void {
    const dueAt = performance.now() + delayMs;
    if (this.#closed || this.#running || dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => this.#tick(), delayMs);
    this.#timer.unref();
  }

  #tick(): void {
    this.#clearTimer();
    if (!this.#isDue() || this.#running) return;
    this.#run().catch((error) => {
      this.#log.error({ error }, 'garbage collection failed');
      this.#schedule(this.#intervalMs + 1000);
    });
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #run(): Promise<Collection> {
    this.#clearTimer();
    this.#next = undefined;
    const seen = this.#changes.deletions;
    const running = this.#collect()
      .then((collection) => this.#done(collection, seen))
      .finally(() => {
        // One that waits follows at once; until it has begun, this one counts as running.
        if (!this.#next) this.#running = undefined;
        this.#consider();
      });
    this.#running = running;
    return running;
  }

  #done(collection: Collection, seenDeletions: number): Collection {
    this.#collections++;
    this.#mutations = 0;
    // What the collection itself removed is no news; what others removed meanwhile is.
    this.#seenDeletions = seenDeletions;
    this.#totalMs += collection.tookMs;
    const pause = Math.min(0.5, Math.max(0, this.#config.pauseThreshold));
    const average = Math.max(minimumMs, this.#totalMs / this.#collections);
    if (pause > 0) this.#intervalMs = average / pause - average;
    const { removed, tookMs } = collection;
    if (removed > 0) this.#log.debug({ removed, tookMs }, 'garbage collected');
    return collection;
  }
}
