import { type Context, daemonContext, type Log, namespaceOf } from '../../async/context.ts';
import { never } from '../../async/never.ts';
import { messageOf, wrap } from '../../errors/error.ts';
import { announce } from '../../events/announce.ts';
import type { Events } from '../../events/events.ts';
import { makeEvent, timestampOf } from '../../events/topics.ts';
import { toAny } from '../../rpc/any.ts';
import type { Bundles } from '../bundle.ts';
import type { Finding } from '../reconcile/finding.ts';
import { changeMs, uncancelled } from '../shim-calls.ts';
import type { NewTask, TaskExit, TaskState } from '../task.ts';
import { endProcessesIn } from './bundle-processes.ts';
import { type ForeignRecord, hasForeignRecord, readForeignRecord } from './foreign-record.ts';
import { ForeignTask } from './foreign-task.ts';
import type { ShimEndpoint } from './shim-answer.ts';
import { type DaemonEnds, ShimProgram, type ShimTarget } from './shim-program.ts';

/** containerd's status of a task whose shim is dead and whose end nobody could learn. */
const unknownExit = 255;

/**
 * Tasks that shims of others run. Each has a shim of its own or shares that of its group; the daemon keeps a connection
 * a task. What an earlier daemon left is found again in the bundles, without anybody waiting for a shim that hangs.
 */
export class ForeignTasks implements Disposable {
  readonly #tasks = new Map<string, ForeignTask>();
  readonly #programs = new Map<string, ShimProgram>();
  readonly #daemon: DaemonEnds;
  readonly #bundles: Bundles;
  readonly #events: Events;
  readonly #log: Log;
  readonly #loaded: Promise<void>;

  constructor(daemon: DaemonEnds, bundles: Bundles, events: Events, log: Log) {
    this.#daemon = daemon;
    this.#bundles = bundles;
    this.#events = events;
    this.#log = log;
    this.#loaded = this.#load();
  }

  /** The program of that path, one object for all its tasks. */
  program(file: string): ShimProgram {
    const known = this.#programs.get(file) ?? new ShimProgram(file, this.#daemon);
    this.#programs.set(file, known);
    return known;
  }

  /** undefined where the task is none of these. */
  async find(namespace: string, id: string): Promise<ForeignTask | undefined> {
    await this.#loaded;
    return this.#tasks.get(keyOf(namespace, id));
  }

  /** First processes of one namespace. Never waits long for a shim. */
  async list(ctx: Context): Promise<TaskState[]> {
    await this.#loaded;
    const namespace = namespaceOf(ctx);
    const wanted = [...this.#tasks.values()].filter(({ target }) => target.namespace === namespace);
    return Promise.all(wanted.map((task) => task.glance(ctx)));
  }

  /**
   * Starts a shim (or takes that of its sandbox, or finds the group's) and has it make the task. All or nothing. The caller holds the bundle's lock.
   * @returns the pid of its first process
   */
  async create(
    ctx: Context,
    file: string,
    bundle: string,
    task: NewTask,
    sandbox?: ShimEndpoint,
  ): Promise<number> {
    const target = { namespace: namespaceOf(ctx), id: task.containerId, bundle };
    const made = this.#taskOf(target, recordOf(file, sandbox && task.sandboxId));
    this.#tasks.set(keyOf(target.namespace, target.id), made);
    try {
      await made.serveAt(sandbox ?? (await this.program(file).start(target, task.options)));
      const pid = await this.#make(ctx, made, task);
      ctx.signal.throwIfAborted();
      return pid;
    } catch (error) {
      await this.#undo(made);
      throw wrap(error, 'failed to create shim task');
    }
  }

  #taskOf(target: ShimTarget, record: ForeignRecord): ForeignTask {
    return new ForeignTask(target, record, this.#daemon.timeouts, this.#log, this.#bury);
  }

  /** How many there are. */
  get size(): number {
    return this.#tasks.size;
  }

  /** Tries again to remove what dead shims left and their programs could not delete; the tasks are told as ended. */
  async retry(): Promise<Finding[]> {
    await this.#loaded;
    const found: Finding[] = [];
    for await (const { namespace, id } of this.#bundles.all()) {
      const target = { namespace, id, bundle: this.#bundles.path(namespace, id) };
      if (hasForeignRecord(target.bundle) && !this.#tasks.has(keyOf(namespace, id)))
        found.push(...(await this.#clearLeft(target)));
    }
    return found;
  }

  async #clearLeft(target: ShimTarget): Promise<Finding[]> {
    const { namespace, id, bundle } = target;
    using _lock = await this.#bundles.lock(namespace, id, never);
    const record = readForeignRecord(bundle);
    if (record === undefined || this.#tasks.has(keyOf(namespace, id))) return [];
    const cleared = await this.#clear(target, record.program);
    const why = cleared === undefined ? `${record.program} cannot delete its task` : 'its shim is dead';
    return [{ kind: 'bundle', what: bundle, why, repaired: cleared !== undefined }];
  }

  /** Forgets a task that was deleted. */
  forget(namespace: string, id: string): void {
    this.#tasks.delete(keyOf(namespace, id));
  }

  /** Lets go of all shims; they run on. */
  [Symbol.dispose](): void {
    for (const task of this.#tasks.values()) task[Symbol.dispose]();
  }

  async #make(ctx: Context, made: ForeignTask, task: NewTask): Promise<number> {
    const { containerId: id, stdin, terminal, options } = task;
    const { logProgram } = this.#daemon;
    const [stdout, stderr] = [foreignLog(task.stdout, logProgram), foreignLog(task.stderr, logProgram)];
    const rootfs = task.rootfs.map((mount) => ({ ...mount, options: [...mount.options] }));
    const more = options === undefined ? {} : { options: toAny(options) };
    const { checkpoint = '' } = task;
    const { bundle } = made.target;
    const request = { id, bundle, rootfs, checkpoint, stdin, stdout, stderr, terminal, ...more };
    const { pid } = await made.change(id, (client) => client.create(request, uncancelled(ctx), changeMs));
    made.made(pid);
    return pid;
  }

  /** Takes back a task that was not made to its end, shim and all. Never throws. */
  async #undo(made: ForeignTask): Promise<void> {
    const { namespace, id } = made.target;
    this.forget(namespace, id);
    // The sandbox's shim stays: it is told to drop what it has of the task.
    if (made.record.sandboxId !== undefined)
      await made
        .change(id, (task) => task.delete({ id }, daemonContext(this.#log, namespace), changeMs))
        .catch(() => {});
    await made.leave();
    const exit = await this.#clear(made.target, made.record.program);
    made.buried(exit ?? { exitStatus: unknownExit, exitedAt: new Date() });
  }

  /** What an earlier daemon left: connected to in the background, one by one as they answer. */
  async #load(): Promise<void> {
    for await (const { namespace, id } of this.#bundles.all()) {
      try {
        this.#adopt({ namespace, id, bundle: this.#bundles.path(namespace, id) });
      } catch (error) {
        this.#log.error(
          { namespace, id, error: messageOf(error) },
          'task of a shim of others cannot be adopted',
        );
      }
    }
  }

  #adopt(target: ShimTarget): void {
    const record = readForeignRecord(target.bundle);
    if (record === undefined) return;
    const task = this.#taskOf(target, record);
    this.#tasks.set(keyOf(target.namespace, target.id), task);
    if (record.endpoint === undefined) this.#bury(task);
    else task.connected().catch(() => {});
  }

  /** A dead shim's task is removed by the shim's own program, and its end is told. */
  readonly #bury = (task: ForeignTask): void => {
    void this.#buryNow(task).catch((error) => {
      const { namespace, id } = task.target;
      this.#log.error({ namespace, id, error: messageOf(error) }, 'task of a dead shim is left');
    });
  };

  async #buryNow(task: ForeignTask): Promise<void> {
    const { namespace, id } = task.target;
    using _lock = await this.#bundles.lock(namespace, id, never);
    if (this.#tasks.get(keyOf(namespace, id)) !== task) return;
    this.#log.info({ namespace, id }, 'shim of a task is dead: cleaning up');
    const cleared = await this.#clear(task.target, task.record.program);
    const exit = cleared ?? { exitStatus: unknownExit, exitedAt: new Date() };
    this.forget(namespace, id);
    if (task.record.pid > 0) this.#tell(task, exit);
    task.buried(exit);
  }

  /** @returns the exit that the shim's program tells; undefined where it fails: then the bundle stays for another try */
  async #clear(target: ShimTarget, file: string): Promise<TaskExit | undefined> {
    try {
      const exit = await this.program(file).delete(target);
      await endProcessesIn(target.bundle);
      await this.#bundles.remove(target.namespace, target.id);
      return exit;
    } catch (error) {
      const { namespace, id } = target;
      this.#log.warn(
        { namespace, id, error: messageOf(error) },
        'shim cannot delete its task: the bundle is left',
      );
      return undefined;
    }
  }

  #tell(
    { target: { namespace, id }, record: { pid } }: ForeignTask,
    { exitStatus, exitedAt }: TaskExit,
  ): void {
    const ctx = daemonContext(this.#log, namespace);
    const how = { containerId: id, pid, exitStatus, exitedAt: timestampOf(exitedAt) };
    announce(this.#events, ctx, makeEvent('taskExit', { ...how, id }));
    announce(this.#events, ctx, makeEvent('taskDelete', how));
  }
}

const recordOf = (program: string, sandboxId: string | undefined): ForeignRecord => ({
  format: 1,
  program,
  pid: 0,
  ...(sandboxId === undefined ? {} : { sandboxId }),
});

/** Log files in formats of ours, `cri:///path` and `json:///path`, are written by a program that the shim starts. */
const foreignLog = (uri: string, program: string): string =>
  /^(cri|json):\/\//.test(uri) ? `binary://${program}?to=${encodeURIComponent(uri)}` : uri;

const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;
