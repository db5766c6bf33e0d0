import { cleanUp } from '../async/cleanup.ts';
import type { Context } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { alreadyExists, failedPrecondition, invalidArgument, wrap } from '../errors/error.ts';
import type { Container } from '../metadata/container-store.ts';
import { validateIdentifier, validNamespace } from '../metadata/identifiers.ts';
import type { Any } from '../oci/any.ts';
import { containerLabels, labelNames } from '../oci/label-names.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { checkedContainerName, makeContainerId, makeContainerName } from './container-names.ts';
import type {
  Containers,
  CreatedContainer,
  LimitChanges,
  LogEntry,
  NewContainerOfImage,
  StdioPaths,
  WantedLogs,
  WantedProcess,
  WantedStdio,
} from './containers.ts';
import { makeContainer } from './create-container.ts';
import { buildExecSpec } from './exec-spec.ts';
import { findImage } from './find-image.ts';
import { readLog } from './log-follow.ts';
import { LogPaths } from './log-paths.ts';
import type { ContainerParts } from './parts.ts';
import type { Plan } from './plan.ts';
import { ignoreMissing, removeSnapshot, removeTask } from './remove-container.ts';
import { StdioDirs } from './stdio-dirs.ts';
import { isAlive } from './task-control.ts';
import { updateLimits } from './update-limits.ts';

/** The verbs over this daemon's stores. Make one a daemon: it serialises names and owns the FIFO directory. */
export class LocalContainers implements Containers {
  readonly #parts: ContainerParts;
  readonly #names = new KeyedLock();
  readonly #ids = new KeyedLock();
  /** For the housekeeping that follows events, see housekeeping.ts. */
  readonly stdio: StdioDirs;
  readonly logPaths: LogPaths;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    this.logPaths = new LogPaths(parts.logRoot);
    this.stdio = new StdioDirs(parts.fifoRoot);
  }

  async create(ctx: Context, wanted: NewContainerOfImage): Promise<CreatedContainer> {
    const namespace = validNamespace(ctx);
    const id = wanted.id || makeContainerId();
    validateIdentifier(id);
    const name = checkedContainerName(wanted.name || makeContainerName());
    using _name = await this.#names.acquire(`${namespace}/${name}`, ctx.signal);
    using _id = await this.lock(ctx, id);
    await this.#refuseTaken(ctx, id, name);
    await using always = new AsyncDisposableStack();
    const leased = await this.#withLease(ctx, always);
    await using made = new AsyncDisposableStack();
    const image = await findImage(leased, this.#parts.images, wanted.image);
    const logUri = wanted.logs ? await this.#prepareLogs(ctx, namespace, id, made) : '';
    const plan: Plan = {
      namespace,
      id,
      name,
      image,
      snapshotter: this.#snapshotter(wanted.snapshotter),
      logUri,
      wanted,
    };
    await makeContainer(leased, this.#parts, plan, made);
    made.move();
    return { id, name, logUri };
  }

  async remove(ctx: Context, id: string, options: { readonly force?: boolean } = {}): Promise<void> {
    const namespace = validNamespace(ctx);
    validateIdentifier(id);
    using _id = await this.lock(ctx, id);
    const container = await this.#parts.containers.get(ctx, id);
    try {
      await removeTask(ctx, this.#parts, id, options.force ?? false);
      await this.stdio.removeWhere((owner) => owner.namespace === namespace && owner.containerId === id);
      await this.logPaths.remove(namespace, id);
      await removeSnapshot(ctx, this.#parts, container);
      await ignoreMissing(this.#parts.containers.delete(ctx, id));
    } catch (error) {
      throw wrap(error, `remove container ${id}`);
    }
  }

  /** Held while a container is made, restarted or removed, or gets FIFOs. @throws the signal's reason */
  lock(ctx: Context, id: string): Promise<Disposable> {
    return this.#ids.acquire(`${validNamespace(ctx)}/${id}`, ctx.signal);
  }

  async rename(ctx: Context, id: string, name: string): Promise<void> {
    const namespace = validNamespace(ctx);
    validateIdentifier(id);
    checkedContainerName(name);
    using _name = await this.#names.acquire(`${namespace}/${name}`, ctx.signal);
    const [other] = await this.#parts.containers.list(ctx, [`labels."${containerLabels.name}"=="${name}"`]);
    if (other !== undefined && other.id !== id)
      throw alreadyExists(`container name ${name} (of ${other.id}): already exists`);
    const labels = { [containerLabels.name]: name };
    await this.#parts.containers.update(ctx, { id, labels }, [`labels.${containerLabels.name}`]);
  }

  update(ctx: Context, id: string, limits: LimitChanges): Promise<void> {
    validateIdentifier(id);
    return updateLimits(ctx, this.#parts, id, limits);
  }

  async makeStdio(ctx: Context, wanted: WantedStdio): Promise<StdioPaths> {
    const namespace = validNamespace(ctx);
    validateIdentifier(wanted.containerId);
    if (wanted.execId !== '') validateIdentifier(wanted.execId);
    // A container that is being removed takes its FIFOs along, and gets no more.
    using _id = await this.lock(ctx, wanted.containerId);
    await this.#parts.containers.get(ctx, wanted.containerId);
    return await this.stdio.make(namespace, wanted, ctx.caller.uid);
  }

  async processSpec(ctx: Context, wanted: WantedProcess): Promise<Any> {
    const container = await this.#parts.containers.get(ctx, wanted.containerId);
    const task = await this.#parts.tasks.find(ctx, container.id);
    return buildExecSpec(ctx, container, wanted, {
      snapshotter: this.#parts.snapshotters.get(container.snapshotter),
      task,
    });
  }

  async *logs(ctx: Context, wanted: WantedLogs): AsyncGenerator<LogEntry> {
    const namespace = validNamespace(ctx);
    const { id, labels }: Container = await this.#parts.containers.get(ctx, wanted.containerId);
    if (labels[containerLabels.logs] === undefined) throw failedPrecondition(`container ${id} keeps no logs`);
    const running = async () => isAlive(await this.#parts.tasks.find(ctx, id));
    yield* readLog({ path: this.logPaths.path(namespace, id), isAlive: running, signal: ctx.signal }, wanted);
  }

  async #refuseTaken(ctx: Context, id: string, name: string): Promise<void> {
    const filters = [`id==${id}`, `labels."${containerLabels.name}"=="${name}"`];
    const [taken] = await this.#parts.containers.list(ctx, filters);
    if (taken === undefined) return;
    const what = taken.id === id ? `container ${id}` : `container name ${name} (of ${taken.id})`;
    throw alreadyExists(`${what}: already exists`);
  }

  /** Keeps the snapshot from garbage collection until the record names it. */
  async #withLease(ctx: Context, undo: AsyncDisposableStack): Promise<Context> {
    if (ctx.lease !== undefined) return ctx;
    const labels = { [labelNames.expire]: new Date(Date.now() + 3_600_000).toISOString() };
    const lease = await this.#parts.leases.create(ctx, { labels });
    undo.defer(() =>
      cleanUp(ctx, `remove lease ${lease.id}`, (late) => this.#parts.leases.delete(late, lease.id)),
    );
    return { ...ctx, lease: lease.id };
  }

  async #prepareLogs(
    ctx: Context,
    namespace: string,
    id: string,
    undo: AsyncDisposableStack,
  ): Promise<string> {
    undo.defer(() => cleanUp(ctx, `remove the logs of ${id}`, () => this.logPaths.remove(namespace, id)));
    return this.logPaths.prepare(namespace, id);
  }

  #snapshotter(name = ''): Snapshotter {
    const all = this.#parts.snapshotters;
    const found = name === '' ? all.values().next().value : all.get(name);
    if (found === undefined)
      throw invalidArgument(`unknown snapshotter ${JSON.stringify(name.slice(0, 100))}`);
    return found;
  }
}
