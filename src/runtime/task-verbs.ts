import type { Context } from '../async/context.ts';
import { inSpan } from '../async/span.ts';
import { isKind } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import { changeMs, checkpointMs, lookMs, uncancelled } from './shim-calls.ts';
import type { DeletedTask, NewExec, TaskExit, TaskPid, TaskState } from './task.ts';
import type { TaskCaller, TaskClient } from './task-caller.ts';
import { exitOf, stateOf } from './task-wire.ts';
import { waitForExit } from './wait-for-exit.ts';

/** What can be asked of one task, whoever runs it. */
export abstract class TaskVerbs {
  /** Who runs a task. @throws invalid_argument (namespace) */
  protected abstract callerOf(ctx: Context, id: string): Promise<TaskCaller>;

  /** Starts the first process, or an exec. @returns its pid @throws not_found, failed_precondition, unknown */
  async start(ctx: Context, id: string, execId = ''): Promise<number> {
    const { pid } = await inSpan(ctx, 'start', { container: id }, (inner) =>
      this.#change(inner, id, (client) => client.start({ id, execId }, inner, checkpointMs)),
    );
    return pid;
  }

  /** @throws not_found */
  async get(ctx: Context, id: string, execId = ''): Promise<TaskState> {
    return stateOf(await this.#look(ctx, id, (task) => task.state({ id, execId }, ctx, lookMs)));
  }

  /** As {@link get}, undefined where there is none. */
  async find(ctx: Context, id: string, execId = ''): Promise<TaskState | undefined> {
    try {
      return await this.get(ctx, id, execId);
    } catch (error) {
      if (isKind(error, 'not_found')) return undefined;
      throw error;
    }
  }

  /** @throws not_found (also: has exited already), invalid_argument (signal) */
  async kill(ctx: Context, id: string, signal: number, target: { execId?: string; all?: boolean } = {}) {
    const { execId = '', all = false } = target;
    await this.#change(ctx, id, (client) => client.kill({ id, execId, signal, all }, ctx, changeMs));
  }

  /** The exit of a process, also one that exited before; waits for it as long as the context allows. @throws not_found */
  async wait(ctx: Context, id: string, execId = ''): Promise<TaskExit> {
    return waitForExit(ctx, await this.callerOf(ctx, id), id, execId);
  }

  /** Registers another process in a task; {@link start} runs it. @throws not_found, already_exists, failed_precondition */
  async exec(ctx: Context, id: string, { spec, ...exec }: NewExec): Promise<void> {
    await this.#change(ctx, id, (client) => client.exec({ id, ...exec, spec: toAny(spec) }, ctx, changeMs));
  }

  /** @throws not_found, failed_precondition (running) */
  async deleteExec(ctx: Context, id: string, execId: string): Promise<DeletedTask> {
    const deleted = await this.#change(ctx, id, (client) => client.delete({ id, execId }, ctx, changeMs));
    return { pid: deleted.pid, ...exitOf(deleted) };
  }

  /** A process without a terminal ignores it. @throws not_found */
  async resize(
    ctx: Context,
    id: string,
    execId: string,
    size: { columns: number; rows: number },
  ): Promise<void> {
    const { columns: width, rows: height } = size;
    await this.#change(ctx, id, (client) => client.resizePty({ id, execId, width, height }, ctx, lookMs));
  }

  /** The process sees the end of its input once the client has closed the FIFO too. @throws not_found */
  async closeStdin(ctx: Context, id: string, execId = ''): Promise<void> {
    await this.#change(ctx, id, (client) => client.closeIO({ id, execId, stdin: true }, ctx, lookMs));
  }

  /** Every process in the container, host pids. @throws not_found, failed_precondition (stopped) */
  async pids(ctx: Context, id: string): Promise<TaskPid[]> {
    const { processes } = await this.#look(ctx, id, (task) => task.pids({ id }, ctx, changeMs));
    return processes.map(({ pid, info }) => ({ pid, info }));
  }

  /** @throws not_found, failed_precondition */
  async pause(ctx: Context, id: string): Promise<void> {
    await this.#change(ctx, id, (client) => client.pause({ id }, ctx, changeMs));
  }

  /** @throws not_found, failed_precondition */
  async resume(ctx: Context, id: string): Promise<void> {
    await this.#change(ctx, id, (client) => client.resume({ id }, ctx, changeMs));
  }

  /** `resources`: LinuxResources, JSON. @throws not_found, unknown (what the kernel refuses) */
  async update(
    ctx: Context,
    id: string,
    resources: Any,
    annotations: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const request = { id, resources: toAny(resources), annotations };
    await this.#change(ctx, id, (client) => client.update(request, ctx, changeMs));
  }

  /**
   * Writes the processes of a task to files in a directory that is made where missing. They run on, unless the options
   * say otherwise. `options`: containerd.runc.v1.CheckpointOptions.
   * @throws not_found, failed_precondition (not running, no criu), invalid_argument, unknown (the runtime's words)
   */
  async checkpoint(ctx: Context, id: string, path: string, options?: Any): Promise<void> {
    const request = { id, path, ...(options === undefined ? {} : { options: toAny(options) }) };
    await this.#change(ctx, id, (client) => client.checkpoint(request, uncancelled(ctx), checkpointMs));
  }

  /** containerd's cgroup metrics of version 1 or 2. @throws not_found */
  async metrics(ctx: Context, id: string): Promise<Any | undefined> {
    const { stats } = await this.#look(ctx, id, (task) => task.stats({ id }, ctx, lookMs));
    return stats;
  }

  async #change<T>(ctx: Context, id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    return (await this.callerOf(ctx, id)).change(id, call);
  }

  async #look<T>(ctx: Context, id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    return (await this.callerOf(ctx, id)).look(id, call);
  }
}
