import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../async/context.ts';
import { namespaceOf } from '../async/context.ts';
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
  /** Ids taken by a create that is under way. */
  readonly #creating = new Set<string>();
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
    this.#creating.add(key);
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
    }
  }

  /** Puts a task back that an earlier shim left. */
  adopt(task: Task): void {
    this.#tasks.set(keyOf(task.request.namespace, task.request.id), task);
  }

  /** @throws not_found */
  get(ctx: Context, id: string): Task {
    const task = this.#tasks.get(keyOf(namespaceOf(ctx), id));
    if (task === undefined) throw notFound(`task ${id}`);
    return task;
  }

  async delete(ctx: Context, id: string) {
    const task = this.get(ctx, id);
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
