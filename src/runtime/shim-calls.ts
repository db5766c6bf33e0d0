import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { isKind, messageOf, notFound } from '../errors/error.ts';
import type { ShimApi } from '../rpc/ttrpc-shim.ts';
import type { Shim, ShimConnection } from './shim.ts';
import type { TaskCaller, TaskClient } from './task-caller.ts';

/** Deadline of calls that make the shim run the OCI runtime. */
export const changeMs = 150_000;
/** Deadline of a checkpoint, and of a start that restores one: memory by the gigabyte goes to a disk or comes from it. */
export const checkpointMs = 660_000;
/** Deadline of calls that only look. */
export const lookMs = 10_000;
/** How often a look is tried again with the successor of a shim, and after what pause from the second time on. */
const maxLostShims = 4;
const lostShimPauseMs = 50;

/** Calls to berth-shim about tasks, with what is done when the shim goes away meanwhile. */
export class ShimCalls implements TaskCaller {
  readonly #shim: Shim;

  constructor(shim: Shim) {
    this.#shim = shim;
  }

  async change<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    const { task } = await this.#connection(id);
    return call(task).catch((error) => {
      throw inDaemonWords(error, id);
    });
  }

  look<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    return this.#look(id, ({ task }) => call(task));
  }

  /** As {@link look}, of what berth-shim answers beside the task API. */
  ask<T>(id: string, call: (api: ShimApi) => Promise<T>): Promise<T> {
    return this.#look(id, ({ api }) => call(api));
  }

  /** The one shim stays. */
  async leave(): Promise<void> {}

  /** Starts no shim for a task that cannot be. */
  async #connection(id: string): Promise<ShimConnection> {
    if (!(await this.#shim.mayHaveTasks())) throw notFound(`task ${id} not found`);
    return this.#shim.connection();
  }

  async #look<T>(id: string, call: (shim: ShimConnection) => Promise<T>): Promise<T> {
    for (let lost = 0; ; ) {
      try {
        return await call(await this.#connection(id));
      } catch (error) {
        if (!lostShim(error) || ++lost > maxLostShims) throw inDaemonWords(error, id);
      }
      // A shim that is dying may take one more connection before it is gone.
      if (lost > 1) await sleep(lostShimPauseMs);
    }
  }
}

/** Changes are made to their end, or nobody would know how far they went: ttrpc has no cancel. Deadlines hold. */
export const uncancelled = (ctx: Context): Context => ({ ...ctx, signal: new AbortController().signal });

/** Whether a call failed because the shim went away, so that asking its successor makes sense. */
export const lostShim = (error: unknown): boolean => isKind(error, 'unavailable');

/** Whether a call failed because its deadline passed: the shim may be at it still. */
export function isTimeout(error: unknown): boolean {
  for (let e: unknown = error; e instanceof Error; e = e.cause) if (e.name === 'TimeoutError') return true;
  return false;
}

/** Clients look for containerd's words, "task <id> not found". */
export const inDaemonWords = (error: unknown, id: string): unknown =>
  isKind(error, 'not_found') && messageOf(error) === `task ${id}: not found`
    ? notFound(`task ${id} not found`, error)
    : error;
