import type { Context, Log } from '../../async/context.ts';
import { askProxied, type Proxied } from '../../async/proxied.ts';
import { isKind, messageOf } from '../../errors/error.ts';
import type { DriverSnapshot, SnapshotDriver } from '../driver.ts';
import type { Mount, Snapshotter, SnapshotUsage } from '../snapshotter.ts';

/** Somebody else's snapshotter, and what its configuration says of it. */
export interface ProxyDriverOptions {
  /** What clients call it here. */
  readonly name: string;
  /** The other side of the wire. */
  readonly snapshotter: Snapshotter;
  /** Shown to clients, as configured; `root` among them. */
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** For each call; a commit may take ten times as long. Default 60 s. */
  readonly timeoutMs?: number;
  readonly log: Log;
}

/** The label by which a remote snapshotter is asked whether it has a layer already (containerd's remote-snapshotter.md). */
const targetLabel = 'containerd.io/snapshot.ref';

/**
 * A snapshotter in another process (containerd's proxy plug-ins). There our snapshots go by their numbers: `berth-7` while
 * active, `berth-7-committed` after. It is not asked anything before it is needed, so one that is down or hangs delays
 * only those who use it.
 */
export function proxyDriver(options: ProxyDriverOptions): SnapshotDriver {
  return new ProxyDriver(options);
}

class ProxyDriver implements SnapshotDriver {
  readonly name: string;
  readonly capabilities: readonly string[];
  readonly root: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly #there: Snapshotter;
  readonly #proxied: Proxied;
  /** One at a time, because parents can only go after their children. */
  #removing: Promise<void> = Promise.resolve();
  readonly #stuck = new Set<number>();

  constructor(options: ProxyDriverOptions) {
    this.name = options.name;
    this.capabilities = options.capabilities;
    this.root = options.exports.root ?? '';
    this.exports = options.exports;
    this.#there = options.snapshotter;
    const { name, timeoutMs = 60_000, log } = options;
    this.#proxied = { name: `snapshotter ${name}`, timeoutMs, log };
  }

  async create({ id, kind, parents: [parent], labels }: DriverSnapshot): Promise<'committed' | undefined> {
    const wanted = { ...labels };
    if (targetLabel in wanted) wanted[targetLabel] = committedName(id);
    const below = parent === undefined ? '' : committedName(parent);
    try {
      await this.#call('prepare', (ctx) =>
        kind === 'view'
          ? this.#there.view(ctx, activeKey(id), below, wanted)
          : this.#there.prepare(ctx, activeKey(id), below, wanted),
      );
    } catch (error) {
      if (!isKind(error, 'already_exists')) throw error;
      if (await this.#isCommitted(id)) return 'committed';
    }
    return undefined;
  }

  mounts({ id }: DriverSnapshot): Promise<Mount[]> {
    return this.#call('mounts', (ctx) => this.#there.mounts(ctx, activeKey(id)));
  }

  async commit({ id, parents: [parent], labels }: DriverSnapshot): Promise<SnapshotUsage> {
    const options = parent === undefined || !this.#rebases ? {} : { parent: committedName(parent) };
    const commit = (ctx: Context) =>
      this.#there.commit(ctx, committedName(id), activeKey(id), labels, options);
    try {
      await this.#call('commit', commit, this.#proxied.timeoutMs * 10);
    } catch (error) {
      // Committed before, by a call whose answer was lost.
      if (!(await this.#isCommitted(id))) throw error;
    }
    return this.#call('usage', (ctx) => this.#there.usage(ctx, committedName(id)));
  }

  async usage({ id }: DriverSnapshot): Promise<SnapshotUsage> {
    const name = (await this.#isCommitted(id)) ? committedName(id) : activeKey(id);
    return this.#call('usage', (ctx) => this.#there.usage(ctx, name));
  }

  remove(id: number): Promise<void> {
    const removed = this.#removing.then(() => this.#removeWithStuck(id));
    this.#removing = removed.catch(() => {});
    return removed;
  }

  /** What goes wrong is only told: a daemon must start without it. */
  async cleanup(known: ReadonlySet<number>): Promise<number[]> {
    try {
      const unknown = (await this.list()).filter((id) => !known.has(id)).sort((a, b) => b - a);
      for (const id of unknown) await this.remove(id);
      await this.#call('cleanup', (ctx) => this.#there.cleanup(ctx));
      return unknown;
    } catch (error) {
      if (!isKind(error, 'not_implemented'))
        this.#proxied.log.warn(
          { snapshotter: this.name, error: messageOf(error) },
          'proxy snapshotter not cleaned up',
        );
      return [];
    }
  }

  async list(): Promise<number[]> {
    try {
      const there = await this.#call('list', (ctx) => this.#there.list(ctx));
      return [...new Set(there.flatMap(({ name }) => idOf(name)))];
    } catch (error) {
      // That is how containerd's own storage says that it has none yet.
      if (isKind(error, 'not_found')) return [];
      throw error;
    }
  }

  get #rebases(): boolean {
    return this.capabilities.includes('rebase');
  }

  async #isCommitted(id: number): Promise<boolean> {
    try {
      const { kind } = await this.#call('stat', (ctx) => this.#there.stat(ctx, committedName(id)));
      return kind === 'committed';
    } catch (error) {
      if (isKind(error, 'not_found')) return false;
      throw error;
    }
  }

  /** Children come in any order: one that is still needed waits until another is gone. */
  async #removeWithStuck(id: number): Promise<void> {
    if (!(await this.#removeNow(id))) return void this.#stuck.add(id);
    for (let again = true; again; ) {
      again = false;
      for (const other of [...this.#stuck])
        if (await this.#removeNow(other)) again = this.#stuck.delete(other);
    }
  }

  /** False when something stands on it. */
  async #removeNow(id: number): Promise<boolean> {
    for (const name of [activeKey(id), committedName(id)])
      try {
        await this.#call('remove', (ctx) => this.#there.remove(ctx, name));
      } catch (error) {
        if (isKind(error, 'failed_precondition')) return false;
        if (!isKind(error, 'not_found')) throw error;
      }
    return true;
  }

  #call<T>(
    what: string,
    work: (ctx: Context) => Promise<T>,
    timeoutMs = this.#proxied.timeoutMs,
  ): Promise<T> {
    return askProxied({ ...this.#proxied, timeoutMs }, what, work);
  }
}

const activeKey = (id: number): string => `berth-${id}`;
const committedName = (id: number): string => `berth-${id}-committed`;

function idOf(name: string): number[] {
  const digits = /^berth-([1-9]\d{0,14})(?:-committed)?$/.exec(name)?.[1];
  return digits === undefined ? [] : [Number(digits)];
}
