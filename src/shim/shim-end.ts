import { rmSync, statSync } from 'node:fs';
import type { Log } from '../async/context.ts';
import type { FdStore } from './fd-store.ts';
import { within } from './stdio.ts';
import type { TaskTable } from './task-table.ts';

/** How long changes that are under way may take before a shim that is replaced goes without them. */
const drainMs = 10_000;
const lookMs = 10_000;
/** The answer to whoever asked for the end has left by then. */
const answerMs = 50;

/**
 * When a shim ends: on SIGTERM where it has no task, by itself where it has none and its state directory is gone, and
 * when a newer one is to take its place. That one takes everything over as from a shim that was killed.
 */
export class ShimEnd {
  readonly #tasks: TaskTable;
  readonly #fds: FdStore;
  readonly #log: Log;
  readonly #socketPath: string;

  constructor(around: { tasks: TaskTable; fds: FdStore; log: Log; socketPath: string }) {
    this.#tasks = around.tasks;
    this.#fds = around.fds;
    this.#log = around.log;
    this.#socketPath = around.socketPath;
  }

  /** `lockPath`: what shows that the state directory is still the one this shim was started for. */
  watch(lockPath: string): void {
    process.on('SIGTERM', () => this.#endIdle('SIGTERM'));
    const { ino } = statSync(lockPath);
    setInterval(() => {
      if (statSync(lockPath, { throwIfNoEntry: false })?.ino !== ino)
        this.#endIdle('state directory is gone');
    }, lookMs).unref();
  }

  /** Lets changes that are under way come to their end, then makes room for the next shim; tasks do not notice. */
  async retire(): Promise<void> {
    const processes = this.#tasks.list('').flatMap((task) => task.processes);
    await within(drainMs, Promise.all(processes.map((one) => one.exclusive(async () => {}))));
    this.#log.info({ tasks: this.#tasks.size }, 'shim makes room for the next one');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), answerMs);
  }

  #endIdle(why: string): void {
    if (this.#tasks.size > 0) {
      this.#log.warn({ tasks: this.#tasks.size, why }, 'shim stays: it has tasks');
      return;
    }
    this.#log.info({ why }, 'shim ends');
    this.#fds.stop();
    rmSync(this.#socketPath, { force: true });
    process.exit(0);
  }
}
