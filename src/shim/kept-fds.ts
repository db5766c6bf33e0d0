import type { FdStore } from './fd-store.ts';
import type { TaskProcess } from './task-process.ts';

/** What is kept for the next shim of the processes of one task, in step with what they hold. */
export class KeptFds {
  readonly #store: FdStore;
  readonly #task: string;
  /** Names of what is kept of each process. */
  readonly #names = new WeakMap<TaskProcess, string>();

  /** `task`: its name among all tasks. */
  constructor(store: FdStore, task: string) {
    this.#store = store;
    this.#task = task;
  }

  /** Name of a process in the store. */
  keyOf(execId: string): string {
    return `${this.#task}/${execId}`;
  }

  /** To be called whenever what a process holds has changed; `always` when the store may be out of step. */
  update(process: TaskProcess, always = false): void {
    const held = process.held();
    const names = Object.keys(held).join();
    if (!always && names === (this.#names.get(process) ?? '')) return;
    this.#names.set(process, names);
    this.#store.set(this.keyOf(process.execId), held);
  }
}
