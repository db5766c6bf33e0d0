import { type Context, type Log, namespaceOf } from '../async/context.ts';
import { alreadyExists, isKind, messageOf, wrap } from '../errors/error.ts';
import type { Events } from '../events/events.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import type { RuntimeFeatures } from '../rpc/ttrpc-shim.ts';
import { Bundles } from './bundle.ts';
import { runtimeProgram, withDefaultRuntime } from './default-runtime.ts';
import { checkRuntime } from './runtime-name.ts';
import { Shim } from './shim.ts';
import { changeMs, isTimeout, lookMs, lostShim, ShimCalls, uncancelled } from './shim-calls.ts';
import type { ShimLaunch } from './shim-launch.ts';
import type { DeletedTask, NewExec, NewTask, TaskExit, TaskPid, TaskState } from './task.ts';
import { exitOf, stateOf, stateOfListed } from './task-wire.ts';

/** The shim to use, and who hears of its events. */
export interface TasksOptions extends ShimLaunch {
  readonly events: Events;
  readonly log: Log;
  /** OCI runtime of tasks whose caller names none: a path or a name. Default: the shim's choice, crun where it can run. */
  readonly ociRuntime?: string;
}

/** A wait is asked again this often, so that a caller who has gone leaves nothing behind in the shim for long. */
const waitSliceMs = 60_000;

/**
 * The running side of containers. All state is the shim's: this class keeps none, so a daemon that was killed and
 * started again knows everything at once. The namespace is the context's; ids are containers' ids.
 * Errors of the OCI runtime come through in its own words.
 */
export class Tasks implements AsyncDisposable {
  readonly #shim: Shim;
  readonly #calls: ShimCalls;
  readonly #bundles: Bundles;
  readonly #ociRuntime: string;

  constructor(options: TasksOptions) {
    this.#ociRuntime = options.ociRuntime ?? '';
    this.#bundles = new Bundles(options.stateDir);
    const sweep = () => void this.#bundles.sweep(options.log);
    const needed = () => this.#bundles.any();
    this.#shim = new Shim(options, options.events, options.log, sweep, needed);
    this.#calls = new ShimCalls(this.#shim);
  }

  /** Lets go of the shim; tasks run on. */
  close(): Promise<void> {
    return this.#shim.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Makes a task: bundle, root mounts, streams, the container up to just before its program runs.
   * @returns the pid of its first process
   * @throws already_exists, not_found (runtime), invalid_argument, unknown (the runtime's words)
   */
  async create(ctx: Context, task: NewTask): Promise<number> {
    checkRuntime(task.runtimeName);
    const namespace = namespaceOf(ctx);
    const { containerId: id, spec, rootfs, stdin, stdout, stderr, terminal } = task;
    using _lock = await this.#bundles.lock(namespace, id, ctx.signal);
    const bundle = await this.#makeBundle(ctx, id, spec);
    try {
      const { task: client } = await this.#shim.connection();
      const streams = { stdin, stdout, stderr, terminal };
      const mounts = rootfs.map((mount) => ({ ...mount, options: [...mount.options] }));
      const given = withDefaultRuntime(task.options, this.#ociRuntime);
      const options = given === undefined ? {} : { options: toAny(given) };
      const request = { id, bundle, rootfs: mounts, ...streams, ...options };
      const { pid } = await client.create(request, uncancelled(ctx), changeMs);
      if (ctx.signal.aborted) await client.delete({ id }, uncancelled(ctx), changeMs);
      ctx.signal.throwIfAborted();
      return pid;
    } catch (error) {
      // Where the shim is at it still, or died at it, its successor needs the bundle to undo what was done.
      if (!lostShim(error) && !isTimeout(error))
        await this.#bundles.remove(namespace, id).catch((cause) => this.#warn(ctx, id, cause));
      throw wrap(error, 'failed to create shim task');
    }
  }

  /** What the OCI runtime of tasks with these options says of itself. @throws as {@link create} for the runtime's name */
  async features(ctx: Context, runtimeName: string, options?: Any): Promise<RuntimeFeatures> {
    checkRuntime(runtimeName);
    const { api } = await this.#shim.connection();
    return api.features({ program: runtimeProgram(options, this.#ociRuntime) }, ctx);
  }

  /** Starts the first process, or an exec. @returns its pid @throws not_found, failed_precondition, unknown */
  async start(ctx: Context, id: string, execId = ''): Promise<number> {
    const { pid } = await this.#calls.change(id, (client) => client.start({ id, execId }, ctx, changeMs));
    return pid;
  }

  /** @throws not_found */
  async get(ctx: Context, id: string, execId = ''): Promise<TaskState> {
    return stateOf(await this.#calls.look(id, ({ task }) => task.state({ id, execId }, ctx, lookMs)));
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

  /** First processes of all tasks in the context's namespace. */
  async list(ctx: Context): Promise<TaskState[]> {
    namespaceOf(ctx);
    const { tasks } = await this.#calls.look('', ({ api }) => api.list({}, ctx));
    return tasks.map(stateOfListed);
  }

  /** @throws not_found (also: has exited already), invalid_argument (signal) */
  async kill(ctx: Context, id: string, signal: number, target: { execId?: string; all?: boolean } = {}) {
    const { execId = '', all = false } = target;
    await this.#calls.change(id, (client) => client.kill({ id, execId, signal, all }, ctx, changeMs));
  }

  /** The exit of a process, also one that exited before; waits for it as long as the context allows. @throws not_found */
  async wait(ctx: Context, id: string, execId = ''): Promise<TaskExit> {
    for (;;) {
      try {
        return exitOf(await this.#calls.look(id, ({ task }) => task.wait({ id, execId }, ctx, waitSliceMs)));
      } catch (error) {
        ctx.signal.throwIfAborted();
        if (!isTimeout(error)) throw error;
      }
    }
  }

  /** Removes a task that is not running. @throws not_found, failed_precondition (running) */
  async delete(ctx: Context, id: string): Promise<DeletedTask> {
    const namespace = namespaceOf(ctx);
    using _lock = await this.#bundles.lock(namespace, id, ctx.signal);
    const deleted = await this.#calls.change(id, (client) =>
      client.delete({ id }, uncancelled(ctx), changeMs),
    );
    await this.#bundles.remove(namespace, id);
    return { pid: deleted.pid, ...exitOf(deleted) };
  }

  /** Registers another process in a task; {@link start} runs it. @throws not_found, already_exists, failed_precondition */
  async exec(ctx: Context, id: string, { spec, ...exec }: NewExec): Promise<void> {
    await this.#calls.change(id, (client) => client.exec({ id, ...exec, spec: toAny(spec) }, ctx, changeMs));
  }

  /** @throws not_found, failed_precondition (running) */
  async deleteExec(ctx: Context, id: string, execId: string): Promise<DeletedTask> {
    const deleted = await this.#calls.change(id, (client) => client.delete({ id, execId }, ctx, changeMs));
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
    await this.#calls.change(id, (client) => client.resizePty({ id, execId, width, height }, ctx, lookMs));
  }

  /** The process sees the end of its input once the client has closed the FIFO too. @throws not_found */
  async closeStdin(ctx: Context, id: string, execId = ''): Promise<void> {
    await this.#calls.change(id, (client) => client.closeIO({ id, execId, stdin: true }, ctx, lookMs));
  }

  /** Every process in the container, host pids. @throws not_found, failed_precondition (stopped) */
  async pids(ctx: Context, id: string): Promise<TaskPid[]> {
    const { processes } = await this.#calls.look(id, ({ task }) => task.pids({ id }, ctx, changeMs));
    return processes.map(({ pid, info }) => ({ pid, info }));
  }

  /** @throws not_found, failed_precondition */
  async pause(ctx: Context, id: string): Promise<void> {
    await this.#calls.change(id, (client) => client.pause({ id }, ctx, changeMs));
  }

  /** @throws not_found, failed_precondition */
  async resume(ctx: Context, id: string): Promise<void> {
    await this.#calls.change(id, (client) => client.resume({ id }, ctx, changeMs));
  }

  /** `resources`: LinuxResources, JSON. @throws not_found, unknown (what the kernel refuses) */
  async update(
    ctx: Context,
    id: string,
    resources: Any,
    annotations: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const request = { id, resources: toAny(resources), annotations };
    await this.#calls.change(id, (client) => client.update(request, ctx, changeMs));
  }

  /** containerd's cgroup metrics of version 1 or 2. @throws not_found */
  async metrics(ctx: Context, id: string): Promise<Any | undefined> {
    const { stats } = await this.#calls.look(id, ({ task }) => task.stats({ id }, ctx, lookMs));
    return stats;
  }

  async #makeBundle(ctx: Context, id: string, spec: Uint8Array): Promise<string> {
    const namespace = namespaceOf(ctx);
    try {
      return await this.#bundles.create(namespace, id, spec);
    } catch (error) {
      if (!isKind(error, 'already_exists')) throw error;
      if ((await this.find(ctx, id)) !== undefined) throw alreadyExists(`task ${id}`, error);
      await this.#bundles.remove(namespace, id);
      return this.#bundles.create(namespace, id, spec);
    }
  }

  #warn(ctx: Context, id: string, error: unknown): void {
    ctx.log.warn({ id, error: messageOf(error) }, 'bundle of a failed task cannot be removed');
  }
}
