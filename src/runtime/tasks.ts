import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Context, daemonContext, type Log, namespaceOf } from '../async/context.ts';
import { withDeadline } from '../async/deadline.ts';
import { inSpan } from '../async/span.ts';
import { alreadyExists, isKind, messageOf, wrap } from '../errors/error.ts';
import type { Events } from '../events/events.ts';
import type { Activations } from '../mounts/activations.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import type { EndStep, RuntimeFeatures } from '../rpc/ttrpc-shim.ts';
import { Bundles } from './bundle.ts';
import { runtimeProgram, withDefaultRuntime } from './default-runtime.ts';
import { ForeignTasks } from './foreign/foreign-tasks.ts';
import type { DaemonEnds, ShimProgram } from './foreign/shim-program.ts';
import { defaultShimTimeouts } from './foreign/shim-timeouts.ts';
import type { Finding, TaskKey } from './reconcile/finding.ts';
import { recordedTask } from './reconcile/own-tasks.ts';
import { Reconciler } from './reconcile/reconcile.ts';
import { RootfsMounts } from './rootfs-mounts.ts';
import { shimProgramOf } from './runtime-name.ts';
import { Sandboxes } from './sandbox/sandboxes.ts';
import { Shim } from './shim.ts';
import { changeMs, isTimeout, lostShim, ShimCalls, uncancelled } from './shim-calls.ts';
import { defaultEnvironment, type ShimLaunch } from './shim-launch.ts';
import type { DeletedTask, NewTask, TaskState } from './task.ts';
import type { TaskCaller } from './task-caller.ts';
import { TaskVerbs } from './task-verbs.ts';
import { exitOf, stateOfListed } from './task-wire.ts';

/** The shim to use, and who hears of its events. */
export interface TasksOptions extends ShimLaunch {
  readonly events: Events;
  readonly log: Log;
  /** For root mounts that take more than mount(2). Default: they go to the shim as they are. */
  readonly mounts?: Activations;
  /** OCI runtime of tasks whose caller names none: a path or a name. Default: the shim's choice, crun where it can run. */
  readonly ociRuntime?: string;
  /** What shims of others are told of this daemon. Default: a socket in the state directory, `berthd` to publish with. */
  readonly daemon?: Partial<
    Pick<DaemonEnds, 'address' | 'publishBinary' | 'logProgram' | 'version' | 'timeouts'>
  >;
  /** Shims of runtimes that are not found by their name: path of a program by name, e.g. `io.containerd.kata.v2`. */
  readonly runtimes?: Readonly<Record<string, string>>;
}

/** How long a list waits for berth-shim. */
const listMs = 3_000;

/**
 * The running side of containers. All state is the shim's: this class keeps none, so a daemon that was killed and
 * started again knows everything at once. The namespace is the context's; ids are containers' ids.
 * Errors of the OCI runtime come through in its own words.
 */
export class Tasks extends TaskVerbs implements AsyncDisposable {
  /** Sandboxes of shims; containers that belong to one run in its shim. */
  readonly sandboxes: Sandboxes;
  readonly #shim: Shim;
  readonly #calls: ShimCalls;
  readonly #bundles: Bundles;
  readonly #foreign: ForeignTasks;
  readonly #ociRuntime: string;
  readonly #rootfs: RootfsMounts;
  readonly #reconciler: Reconciler;
  /** The shim's program of a runtime; undefined for berth-shim. */
  readonly #programOf: (runtimeName: string) => string | undefined;

  constructor(options: TasksOptions) {
    super();
    const { events, log, runtimes = {}, environment = defaultEnvironment } = options;
    this.#ociRuntime = options.ociRuntime ?? '';
    this.#rootfs = new RootfsMounts(options.mounts);
    this.#bundles = new Bundles(options.stateDir);
    const reconcile = () => void this.#reconciler.pass();
    this.#shim = new Shim(options, events, log, reconcile, () => this.#bundles.anyOwn());
    this.#calls = new ShimCalls(this.#shim);
    const daemon = daemonEnds(options);
    this.#foreign = new ForeignTasks(daemon, this.#bundles, events, log);
    this.#reconciler = new Reconciler({
      stateDir: options.stateDir,
      environment,
      bundles: this.#bundles,
      foreign: this.#foreign,
      listOwn: (signal) => this.#listAll(signal, log),
      log,
    });
    this.#programOf = (name) => shimProgramOf(name, runtimes, environment.PATH ?? '');
    const { stateDir } = options;
    this.sandboxes = new Sandboxes({ stateDir, daemon, programOf: this.#programOf, events, log });
  }

  /** Compares what there is with what should be and puts right what is certain; see {@link Reconciler}. Never throws. */
  reconcile(): Promise<readonly Finding[]> {
    return this.#reconciler.pass();
  }

  /** Whether there is, or was until the last daemon's end, a task of that id. */
  hasBundle(namespace: string, id: string): boolean {
    return existsSync(this.#bundles.pathOf(`${namespace}/${id}`));
  }

  /** Lets go of the shims; tasks run on. */
  close(): Promise<void> {
    this.#foreign[Symbol.dispose]();
    this.sandboxes[Symbol.dispose]();
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
  create(ctx: Context, task: NewTask): Promise<number> {
    const attributes = { container: task.containerId, runtime: task.runtimeName };
    return inSpan(ctx, 'create', attributes, (inner) => this.#create(inner, task));
  }

  async #create(ctx: Context, task: NewTask): Promise<number> {
    const program = this.#programOf(task.runtimeName);
    const namespace = namespaceOf(ctx);
    const { containerId: id, spec } = task;
    using _lock = await this.#bundles.lock(namespace, id, ctx.signal);
    const bundle = await this.#makeBundle(ctx, id, spec);
    try {
      const sandbox = task.sandboxId ? await this.sandboxes.endpointOf(ctx, task.sandboxId) : undefined;
      const file = sandbox?.program ?? program;
      const shim = file === undefined ? undefined : this.#foreign.program(file);
      const mounted = { ...task, rootfs: await this.#activated(ctx, task, shim) };
      if (shim !== undefined)
        return await this.#foreign.create(ctx, shim.file, bundle, mounted, sandbox?.endpoint);
      return await this.#createOwn(ctx, bundle, mounted);
    } catch (error) {
      await this.#rootfs.release(uncancelled(ctx), id);
      throw error;
    }
  }

  async #activated(ctx: Context, task: NewTask, shim: ShimProgram | undefined) {
    try {
      return await this.#rootfs.activate(ctx, task, shim);
    } catch (error) {
      await this.#bundles.remove(namespaceOf(ctx), task.containerId);
      throw error;
    }
  }

  async #createOwn(ctx: Context, bundle: string, task: NewTask): Promise<number> {
    const { containerId: id, rootfs, stdin, stdout, stderr, terminal } = task;
    try {
      const { task: client } = await this.#shim.connection();
      const streams = { stdin, stdout, stderr, terminal };
      const mounts = rootfs.map((mount) => ({ ...mount, options: [...mount.options] }));
      const given = withDefaultRuntime(task.options, this.#ociRuntime);
      const options = given === undefined ? {} : { options: toAny(given) };
      const { checkpoint = '' } = task;
      const request = { id, bundle, rootfs: mounts, checkpoint, ...streams, ...options };
      const { pid } = await client.create(request, uncancelled(ctx), changeMs);
      if (ctx.signal.aborted) await client.delete({ id }, uncancelled(ctx), changeMs);
      ctx.signal.throwIfAborted();
      return pid;
    } catch (error) {
      // Where the shim is at it still, or died at it, its successor needs the bundle to undo what was done.
      if (!lostShim(error) && !isTimeout(error))
        await this.#bundles.remove(namespaceOf(ctx), id).catch((cause) => this.#warn(ctx, id, cause));
      throw wrap(error, 'failed to create shim task');
    }
  }

  /**
   * A process's log file (`cri://`, `json://`) was moved away: it goes on in a new one at its path, nothing lost.
   * @throws not_found (also: it has no log), invalid_argument (the new file cannot be opened)
   */
  async reopenLog(ctx: Context, id: string, execId = ''): Promise<void> {
    const { api } = await this.#shim.connection();
    await api.reopenLog({ id, execId }, ctx);
  }

  /** What has been done to end a task, oldest first: shows why one still ends. Shims of others tell none. @throws not_found */
  async endSteps(ctx: Context, id: string): Promise<readonly EndStep[]> {
    if ((await this.#foreign.find(namespaceOf(ctx), id)) !== undefined) return [];
    const ask = (signal: AbortSignal) => this.#calls.ask(id, (api) => api.steps({ id }, { ...ctx, signal }));
    return (await withDeadline(ctx.signal, listMs, 'berth-shim', ask)).steps;
  }

  /** What the OCI runtime of berth-shim's tasks with these options says of itself. @throws not_found (no such program) */
  async features(ctx: Context, options?: Any): Promise<RuntimeFeatures> {
    const { api } = await this.#shim.connection();
    return api.features({ program: runtimeProgram(options, this.#ociRuntime) }, ctx);
  }

  /**
   * What a shim of others says of itself, bytes of containerd.types.RuntimeInfo; undefined for berth-shim.
   * @throws as {@link create} for the runtime's name; unknown (the shim's words)
   */
  async foreignInfo(runtimeName: string, options?: Any): Promise<Uint8Array | undefined> {
    const program = this.#programOf(runtimeName);
    return program === undefined ? undefined : this.#foreign.program(program).info(options);
  }

  /** Keeps the task of a container from being made or deleted until disposed. @throws the signal's reason */
  hold(ctx: Context, id: string): Promise<Disposable> {
    return this.#bundles.lock(namespaceOf(ctx), id, ctx.signal);
  }

  /** First processes of all tasks in the context's namespace. */
  async list(ctx: Context): Promise<TaskState[]> {
    namespaceOf(ctx);
    const [own, foreign] = await Promise.all([this.#listOwn(ctx), this.#foreign.list(ctx)]);
    return [...own, ...foreign];
  }

  /** Removes a task that is not running. @throws not_found, failed_precondition (running) */
  async delete(ctx: Context, id: string): Promise<DeletedTask> {
    const namespace = namespaceOf(ctx);
    using _lock = await this.#bundles.lock(namespace, id, ctx.signal);
    const caller = await this.callerOf(ctx, id);
    const deleted = await caller.change(id, (client) => client.delete({ id }, uncancelled(ctx), changeMs));
    await caller.leave();
    this.#foreign.forget(namespace, id);
    await this.#bundles.remove(namespace, id);
    await this.#rootfs.release(ctx, id);
    return { pid: deleted.pid, ...exitOf(deleted) };
  }

  /** Where berth-shim does not answer, its tasks are known by their records, in state `unknown`. */
  async #listOwn(ctx: Context): Promise<readonly TaskState[]> {
    if (!(await this.#shim.mayHaveTasks())) return [];
    const ask = (signal: AbortSignal) => this.#calls.ask('', (api) => api.list({}, { ...ctx, signal }));
    try {
      const { tasks } = await withDeadline(ctx.signal, listMs, 'list of berth-shim', ask);
      return tasks.map(stateOfListed);
    } catch (error) {
      if (ctx.signal.aborted || !lostShim(error)) throw error;
      ctx.log.warn({ error: messageOf(error) }, 'tasks are listed by their records');
    }
    const states: TaskState[] = [];
    for await (const { namespace, id } of this.#bundles.all()) {
      const state =
        namespace === ctx.namespace && recordedTask(id, this.#bundles.pathOf(`${namespace}/${id}`));
      if (state) states.push(state);
    }
    return states;
  }

  async #listAll(signal: AbortSignal, log: Log): Promise<readonly TaskKey[] | undefined> {
    if (!this.#shim.isThere()) return undefined;
    const { tasks } = await this.#calls.ask('', (api) => api.list({}, daemonContext(log, '', signal)));
    return tasks;
  }

  protected override async callerOf(ctx: Context, id: string): Promise<TaskCaller> {
    return (await this.#foreign.find(namespaceOf(ctx), id)) ?? this.#calls;
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

function daemonEnds({ stateDir, environment, debug, daemon = {} }: TasksOptions): DaemonEnds {
  return {
    address: join(stateDir, 'berth.sock'),
    publishBinary: 'berthd',
    logProgram: '/usr/bin/berth-log',
    version: '',
    timeouts: defaultShimTimeouts,
    ...daemon,
    socketDir: join(stateDir, 's'),
    environment: environment ?? defaultEnvironment,
    debug: debug ?? false,
  };
}
