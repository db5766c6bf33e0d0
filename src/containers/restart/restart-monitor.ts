import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, daemonContext, type Log } from '../../async/context.ts';
import { Limiter } from '../../async/limiter.ts';
import { isKind, messageOf, permissionDenied } from '../../errors/error.ts';
import { envelopeFields } from '../../events/envelope-fields.ts';
import type { Container } from '../../metadata/container-store.ts';
import type { NamespaceStore } from '../../metadata/namespace-store.ts';
import { type BackOff, parseBackOff } from '../../oci/back-off.ts';
import { containerLabels, restartLabels } from '../../oci/label-names.ts';
import { isExplicitlyStopped, restartCountOf, wantsRestart } from '../../oci/restart-policy.ts';
import type { ContainerParts } from '../parts.ts';
import type { TaskGlance } from '../task-control.ts';
import { labelOfImage } from './image-labels.ts';
import { changeMs, endTask, isHeld, type RestartTasks, startTask } from './restart-tasks.ts';
import { RestartTimers } from './restart-timers.ts';

export interface RestartParts
  extends Pick<ContainerParts, 'containers' | 'content' | 'events' | 'images' | 'snapshotters'> {
  readonly namespaces: NamespaceStore;
  readonly tasks: RestartTasks;
  /** Keeps others from removing a container meanwhile. */
  readonly lock: (ctx: Context, id: string) => Promise<Disposable>;
  readonly log: Log;
  /** How long between two looks at all containers, in milliseconds. */
  readonly intervalMs: () => number;
}

const maxAtOnce = 8;
const restartPrefix = 'containerd.io/restart.';
const shortestIntervalMs = 100;
/** How long a client may take from a container to its running task. */
const patienceMs = 5_000;

/**
 * Keeps tasks as the labels of their containers want them ({@link restartLabels}), as containerd's restart monitor does:
 * every interval each container with a status is looked at. One with a back-off label also is restarted as soon as its
 * wait after an exit is over, and once stopped by somebody stays so until the daemon starts again, whatever its policy.
 */
export class RestartMonitor {
  readonly #parts: RestartParts;
  readonly #signal: AbortSignal;
  readonly #limit = new Limiter(maxAtOnce);
  readonly #timers = new RestartTimers();
  /** Since when they are without a task, or with one that was not started: a client may be at it. */
  #unfinished = new Map<string, number>();
  #isFirstPass = true;
  /** What was last said of each container: once is enough. */
  readonly #said = new Map<string, string>();

  constructor(parts: RestartParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /** Until the signal fires. Never throws. */
  async run(): Promise<void> {
    using _ = this.#timers;
    void this.#watchExits();
    while (!this.#signal.aborted) {
      await this.#pass().catch((error) => this.#complain(error));
      this.#isFirstPass = false;
      await this.#sleep(Math.max(this.#parts.intervalMs(), shortestIntervalMs));
    }
  }

  async #watchExits(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        for await (const exit of this.#parts.events.subscribe(['topic=="/tasks/exit"'], this.#signal)) {
          const field = envelopeFields(exit);
          const id = field(['event', 'container_id']) ?? '';
          if (id !== '' && field(['event', 'id']) === id) await this.#exited(exit.namespace, id);
        }
      } catch (error) {
        if (!this.#signal.aborted) this.#complain(error);
      }
      await this.#sleep(1_000);
    }
  }

  async #exited(namespace: string, id: string): Promise<void> {
    const container = await this.#find(this.#context(namespace), id);
    if (container === undefined || container.labels[restartLabels.status] === undefined)
      this.#timers.forget(keyOf(namespace, id));
    else this.#schedule(namespace, container);
  }

  #schedule(namespace: string, container: Container): void {
    const backOff = this.#backOffOf(namespace, container);
    if (backOff === undefined) return;
    this.#timers.ended(
      keyOf(namespace, container.id),
      backOff,
      () => void this.#settle(namespace, container.id),
    );
  }

  async #pass(): Promise<void> {
    const unfinished = new Map<string, number>();
    const keys = new Set<string>();
    const { namespaces, containers, log } = this.#parts;
    for (const { name } of await namespaces.list(daemonContext(log, '', this.#signal))) {
      const ctx = this.#context(name);
      const wanted = await containers.list(ctx, [`labels."${restartLabels.status}"`]);
      if (wanted.length === 0) continue;
      for (const { id } of wanted) keys.add(keyOf(name, id));
      const tasks = new Map(
        (await this.#parts.tasks.list(ctx)).map((task) => [task.containerId, task.status]),
      );
      const look = (one: Container) => this.#look(ctx, one, tasks.get(one.id), unfinished);
      await Promise.all(wanted.map(look));
    }
    this.#unfinished = unfinished;
    this.#timers.retain(keys);
    for (const key of this.#said.keys()) if (!keys.has(key)) this.#said.delete(key);
  }

  async #look(
    ctx: Context,
    { id, labels }: Container,
    status: TaskGlance['status'] | undefined,
    unfinished: Map<string, number>,
  ): Promise<void> {
    const key = keyOf(ctx.namespace, id);
    if (this.#timers.isPending(key)) return;
    if (status === labels[restartLabels.status] || isHeld(status)) return;
    if (status === undefined || status === 'created') {
      const sinceMs = this.#unfinished.get(key) ?? performance.now();
      unfinished.set(key, sinceMs);
      if (!this.#isFirstPass && performance.now() - sinceMs < patienceMs) return;
    }
    await this.#settle(ctx.namespace, id);
  }

  /** Makes one container's task what it should be. Never throws. */
  async #settle(namespace: string, id: string): Promise<void> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(changeMs)]);
    const ctx = daemonContext(this.#parts.log, namespace, signal);
    try {
      using _turn = await this.#limit.acquire(signal);
      using _lock = await this.#parts.lock(ctx, id);
      const container = await this.#find(ctx, id);
      if (container === undefined) return this.#timers.forget(keyOf(namespace, id));
      await this.#settleLocked(ctx, container);
    } catch (error) {
      this.#complain(error, keyOf(namespace, id));
      const container = await this.#find(this.#context(namespace), id);
      if (container !== undefined) this.#schedule(namespace, container);
    }
  }

  async #settleLocked(ctx: Context, container: Container): Promise<void> {
    const { tasks, snapshotters } = this.#parts;
    const { id, labels } = container;
    const wanted = labels[restartLabels.status];
    const task = await tasks.find(ctx, id);
    if (task?.status === wanted || isHeld(task?.status)) return;
    if (wanted === 'stopped' && task !== undefined) await endTask(ctx, tasks, id);
    if (wanted !== 'running' || this.#isLeftStopped(container)) return;
    if (!wantsRestart(labels, task ?? { exitStatus: 0 })) return;
    const copied = await labelOfImage(ctx, this.#parts, container, restartPrefix);
    if (copied !== undefined)
      throw permissionDenied(`label ${copied} is the image's, not a client's: not restarted`);
    this.#timers.started(keyOf(ctx.namespace, id));
    const restarted = await this.#noteRestart(ctx, container);
    ctx.log.info({ id, count: restartCountOf(restarted.labels) }, 'container is restarted');
    await endTask(ctx, tasks, id);
    await startTask(ctx, tasks, snapshotters, restarted);
  }

  /** docker's rule for `always`, for those that ask for docker's back-off. */
  #isLeftStopped({ labels }: Container): boolean {
    return labels[restartLabels.backOff] !== undefined && isExplicitlyStopped(labels) && !this.#isFirstPass;
  }

  /** Written down before anything is started: a count that is one too high does no harm. */
  #noteRestart(ctx: Context, { id, labels }: Container): Promise<Container> {
    const changed = {
      [restartLabels.count]: String(restartCountOf(labels) + 1),
      ...(isExplicitlyStopped(labels) && { [restartLabels.explicitlyStopped]: 'false' }),
      ...(labels[containerLabels.name] !== undefined && {
        [containerLabels.startedAt]: new Date().toISOString(),
      }),
    };
    const paths = Object.keys(changed).map((key) => `labels.${key}`);
    return this.#parts.containers.update(ctx, { id, labels: changed }, paths);
  }

  /** Undefined where there is none, or one that cannot be read: then the interval it is. */
  #backOffOf(namespace: string, { id, labels }: Container): BackOff | undefined {
    const text = labels[restartLabels.backOff];
    if (text === undefined) return undefined;
    try {
      return parseBackOff(text);
    } catch (error) {
      this.#complain(error, keyOf(namespace, id));
      return undefined;
    }
  }

  async #find(ctx: Context, id: string): Promise<Container | undefined> {
    try {
      return await this.#parts.containers.get(ctx, id);
    } catch (error) {
      if (!isKind(error, 'not_found')) this.#complain(error, keyOf(ctx.namespace, id));
      return undefined;
    }
  }

  #context(namespace: string): Context {
    return daemonContext(this.#parts.log, namespace, this.#signal);
  }

  #complain(error: unknown, key?: string): void {
    const words = messageOf(error);
    if (this.#signal.aborted || (key !== undefined && this.#said.get(key) === words)) return;
    if (key !== undefined) this.#said.set(key, words);
    this.#parts.log.warn({ container: key, error: words }, 'restart monitor');
  }

  #sleep(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#signal, ref: false }).catch(() => {});
  }
}

const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;
