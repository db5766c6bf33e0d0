import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { abortable } from '../async/abortable.ts';
import { type Context, namespaceOf } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound } from '../errors/error.ts';
import type { Mount } from '../sys/mount.ts';
import { adaptSpec } from './adapt-spec.ts';
import { defaultRuntime, runtimeBinary } from './choose-runtime.ts';
import { deleteTask } from './delete-task.ts';
import { checkIdentifier } from './identifier.ts';
import { createTask } from './make-task.ts';
import type { RuntimePlace } from './oci-runtime.ts';
import type { RuntimeOptions } from './runtime-options.ts';
import type { StdioPaths } from './stdio.ts';
import { Task, type TaskSurroundings } from './task.ts';

/** What a client asks for when it creates a task. */
export interface NewTask extends StdioPaths {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: readonly Mount[];
  readonly options: RuntimeOptions;
  /** Directory with criu's images that it is restored from when it is started. */
  readonly checkpoint?: string | undefined;
  /** Directory of the checkpoint that {@link checkpoint} goes on from. */
  readonly parentCheckpoint?: string | undefined;
}

/** Every task of this shim, by namespace and id. */
export class TaskTable {
  readonly #tasks = new Map<string, Task>();
  /** Creates that are under way, whatever becomes of them. */
  readonly #creating = new Map<string, Promise<void>>();
  readonly #around: TaskSurroundings;
  readonly #runtimeRoot: string;

  /** `stateDir`: the daemon's state directory; runtimes keep theirs in its `runc/<namespace>`. */
  constructor(stateDir: string, around: TaskSurroundings) {
    this.#around = around;
    this.#runtimeRoot = join(stateDir, 'runc');
  }

  /** @throws already_exists, invalid_argument (id, bundle), what {@link createTask} throws */
  async create(ctx: Context, asked: NewTask): Promise<Task> {
    const namespace = checkIdentifier('namespace', namespaceOf(ctx));
    const id = checkIdentifier('task id', asked.id);
    if (!existsSync(join(asked.bundle, 'config.json')))
      throw invalidArgument(`bundle ${asked.bundle} holds no config.json`);
    const key = keyOf(namespace, id);
    if (this.#tasks.has(key) || this.#creating.has(key)) throw alreadyExists(`task ${id}`);
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    this.#creating.set(key, settled);
    try {
      const task = new Task(
        { ...asked, namespace, runtime: await this.#runtime(namespace, asked) },
        this.#around,
      );
      await createTask(task);
      this.#tasks.set(key, task);
      return task;
    } finally {
      this.#creating.delete(key);
      settle();
    }
  }

  /** Puts a task back that an earlier shim left. */
  adopt(task: Task): void {
    this.#tasks.set(keyOf(task.request.namespace, task.request.id), task);
  }

  /**
   * One that is being made is waited for, as in containerd's shim: its streams open before it is there, and nerdctl closes
   * its input as soon as it has no more. @throws not_found, the signal's reason
   */
  async get(ctx: Context, id: string): Promise<Task> {
    const key = keyOf(namespaceOf(ctx), id);
    const settled = this.#creating.get(key);
    if (settled !== undefined) await abortable(settled, ctx.signal);
    const task = this.#tasks.get(key);
    if (task === undefined) throw notFound(`task ${id}`);
    return task;
  }

  async delete(ctx: Context, id: string) {
    const task = await this.get(ctx, id);
    const exit = await deleteTask(task);
    this.#tasks.delete(keyOf(task.request.namespace, id));
    return { exit, pid: task.init.pid };
  }

  /** All of one namespace, of every namespace for ''. */
  list(namespace: string): Task[] {
    return [...this.#tasks.values()].filter(
      (task) => namespace === '' || task.request.namespace === namespace,
    );
  }

  get size(): number {
    return this.#tasks.size;
  }

  async #runtime(namespace: string, { bundle, options }: NewTask): Promise<RuntimePlace> {
    const binary = await binaryOf(options);
    const { file, isRunc, isCrun } = binary;
    adaptSpec(bundle, binary);
    const root = join(options.root === '' ? this.#runtimeRoot : options.root, namespace);
    return { file, root, systemdCgroup: options.systemdCgroup, isRunc, isCrun };
  }
}

const binaryOf = (options: RuntimeOptions) =>
  options.binaryName === '' ? defaultRuntime() : runtimeBinary(options.binaryName);

/** Neither part can hold a slash. */
const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;
