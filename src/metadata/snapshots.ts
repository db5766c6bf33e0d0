import type { Context } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import type { Mount, SnapshotInfo, Snapshotter, SnapshotUsage } from '../snapshots/snapshotter.ts';
import { nodeOf } from './changes.ts';
import type { Tx } from './db.ts';
import type { DirectoryKeeper } from './directory-keeper.ts';
import { validNamespace } from './identifiers.ts';
import { applyLabelPaths, type Labels, labelField, labelOf, labelsToJson, validateLabels } from './labels.ts';
import {
  addToLease,
  ensureNamespace,
  publishAfter,
  type Records,
  removeFromLease,
  snapshotLeaseType,
} from './records.ts';
import {
  chainOf,
  driverSnapshot,
  findAny,
  getReady,
  hasChildren,
  infoOf,
  listReady,
  type SnapshotRow,
} from './snapshot-rows.ts';

/**
 * A snapshotter: names, parents and labels in the database, directories by number in a driver.
 * A row in state `preparing` is written before directories are made; a row is gone, durably, before they are removed.
 */
export class SnapshotRecords implements Snapshotter {
  readonly name: string;
  readonly #records: Records;
  readonly #driver: SnapshotDriver;
  readonly #keeper: DirectoryKeeper;
  readonly #locks = new KeyedLock();

  constructor(records: Records, driver: SnapshotDriver, keeper: DirectoryKeeper) {
    this.name = driver.name;
    this.#records = records;
    this.#driver = driver;
    this.#keeper = keeper;
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return infoOf(this.#get(ctx, key));
  }

  async update(
    ctx: Context,
    { name, labels }: Pick<SnapshotInfo, 'name' | 'labels'>,
    fieldPaths?: readonly string[],
  ): Promise<SnapshotInfo> {
    const namespace = validNamespace(ctx);
    return this.#records.db.write((tx) => {
      const row = getReady(tx, namespace, this.name, name);
      const wanted = applyLabelPaths(
        infoOf(row).labels,
        labels,
        fieldPaths,
        `snapshot ${JSON.stringify(name)}`,
      );
      validateLabels(wanted, 'info.Labels');
      tx.run(
        'UPDATE snapshots SET labels = ?, updated_at = ? WHERE id = ?',
        labelsToJson(wanted),
        Date.now(),
        row.id,
      );
      this.#touch(namespace, name);
      return infoOf(getReady(tx, namespace, this.name, name));
    });
  }

  async usage(ctx: Context, key: string): Promise<SnapshotUsage> {
    const row = this.#get(ctx, key);
    if (row.size !== null && row.inodes !== null) return { sizeBytes: row.size, inodes: row.inodes };
    return this.#driver.usage(this.#driverSnapshot(row));
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    const row = this.#get(ctx, key);
    if (row.kind === 'committed') {
      throw failedPrecondition(`snapshot ${key} is committed and has no mounts: failed precondition`);
    }
    return this.#driver.mounts(this.#driverSnapshot(row));
  }

  prepare(ctx: Context, key: string, parent: string, labels: Labels = {}): Promise<Mount[]> {
    return this.#create(ctx, 'active', key, parent, labels);
  }

  view(ctx: Context, key: string, parent: string, labels: Labels = {}): Promise<Mount[]> {
    return this.#create(ctx, 'view', key, parent, labels);
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    labels: Labels = {},
    { parent = '' }: { readonly parent?: string | undefined } = {},
  ): Promise<void> {
    const namespace = validNamespace(ctx);
    if (name === '') throw invalidArgument('snapshot name must not be empty: invalid argument');
    validateLabels(labels, 'info.Labels');
    using _both = await this.#lockBoth(ctx, namespace, [name, key]);
    await this.#refuseTaken(ctx, namespace, name);
    const row = getReady(this.#records.db, namespace, this.name, key);
    if (row.kind !== 'active') throw failedPrecondition(`snapshot ${key} is not active: failed precondition`);
    const parentId = this.#commitParent(namespace, row, parent);
    const based = { ...row, parent: parentId };
    const usage = await this.#driver.commit(
      driverSnapshot(this.#records.db, based, { ...infoOf(row).labels, ...labels }),
    );
    await this.#records.db.write((tx) =>
      this.#recordCommit(tx, ctx, namespace, name, key, based, labels, usage),
    );
  }

  async remove(ctx: Context, key: string): Promise<void> {
    const namespace = validNamespace(ctx);
    using _lock = await this.#locks.acquire(`${namespace}/${key}`, ctx.signal);
    const id = await this.#records.db.write((tx) => {
      const row = getReady(tx, namespace, this.name, key);
      if (hasChildren(tx, row.id))
        throw failedPrecondition('cannot remove snapshot with child: failed precondition');
      tx.run('DELETE FROM snapshots WHERE id = ?', row.id);
      removeFromLease(tx, ctx, namespace, snapshotLeaseType(this.name), key);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('snapshotRemove', { key, snapshotter: this.name }));
      return row.id;
    });
    this.#keeper.removeLater(id);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<SnapshotInfo[]> {
    const matches = compileFilters(filters);
    return listReady(this.#records.db, validNamespace(ctx), this.name)
      .map(infoOf)
      .filter((info) => matches((path) => fieldOf(info, path)));
  }

  cleanup(_ctx: Context): Promise<void> {
    return this.#keeper.cleanup();
  }

  async #create(
    ctx: Context,
    kind: 'view' | 'active',
    key: string,
    parent: string,
    labels: Labels,
  ): Promise<Mount[]> {
    const namespace = validNamespace(ctx);
    if (key === '') throw invalidArgument('snapshot key must not be empty: invalid argument');
    validateLabels(labels, 'info.Labels');
    using _lock = await this.#locks.acquire(`${namespace}/${key}`, ctx.signal);
    await this.#refuseTaken(ctx, namespace, labelOf(labels, 'containerd.io/snapshot.ref'), 'target snapshot');
    await this.#refuseTaken(ctx, namespace, key);
    const row = await this.#records.db.write(
      (tx) => this.#reserve(tx, ctx, namespace, kind, key, parent, labels),
      {
        durable: false,
      },
    );
    const snapshot = driverSnapshot(this.#records.db, row, labels);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#forget(ctx, row.id));
    await this.#driver.create(snapshot);
    await this.#records.db.write((tx) => this.#recordReady(tx, ctx, namespace, kind, key, parent, row.id));
    undo.move();
    return this.#driver.mounts(snapshot);
  }

  /** The number and the name are taken before a directory is made. Not durable: after a power cut both are gone. */
  #reserve(
    tx: Tx,
    ctx: Context,
    namespace: string,
    kind: 'view' | 'active',
    key: string,
    parent: string,
    labels: Labels,
  ): SnapshotRow {
    const parentId = parent === '' ? null : this.#committedParent(tx, namespace, parent);
    ensureNamespace(tx, namespace);
    addToLease(tx, ctx, namespace, snapshotLeaseType(this.name), key);
    const now = Date.now();
    tx.run(
      `INSERT INTO snapshots (namespace, snapshotter, name, parent, kind, state, labels, created_at, updated_at)
       VALUES (?, ?, ?, ?, ?, 'preparing', ?, ?, ?)`,
      namespace,
      this.name,
      key,
      parentId,
      kind,
      labelsToJson(labels),
      now,
      now,
    );
    this.#touch(namespace, key);
    const row = findAny(tx, namespace, this.name, key);
    if (!row) throw notFound(`snapshot ${key} does not exist: not found`);
    return row;
  }

  #recordReady(
    tx: Tx,
    ctx: Context,
    namespace: string,
    kind: 'view' | 'active',
    key: string,
    parent: string,
    id: number,
  ): void {
    tx.run("UPDATE snapshots SET state = 'ready' WHERE id = ?", id);
    addToLease(tx, ctx, namespace, snapshotLeaseType(this.name), key);
    this.#touch(namespace, key);
    if (kind === 'view') return;
    const event = makeEvent('snapshotPrepare', { key, parent, snapshotter: this.name });
    publishAfter(this.#records, tx, ctx, event);
  }

  #recordCommit(
    tx: Tx,
    ctx: Context,
    namespace: string,
    name: string,
    key: string,
    row: SnapshotRow,
    labels: Labels,
    usage: SnapshotUsage,
  ): void {
    if (name !== key && findAny(tx, namespace, this.name, name)) throw taken('snapshot', name);
    const now = Date.now();
    tx.run(
      `UPDATE snapshots SET name = ?, kind = 'committed', parent = ?, labels = ?, size = ?, inodes = ?,
       created_at = ?, updated_at = ? WHERE id = ?`,
      name,
      row.parent,
      labelsToJson(labels),
      usage.sizeBytes,
      usage.inodes,
      now,
      now,
      row.id,
    );
    removeFromLease(tx, ctx, namespace, snapshotLeaseType(this.name), key);
    addToLease(tx, ctx, namespace, snapshotLeaseType(this.name), name);
    this.#touch(namespace, name);
    publishAfter(this.#records, tx, ctx, makeEvent('snapshotCommit', { key, name, snapshotter: this.name }));
  }

  /** A snapshot that is here already is put under the caller's lease, durably, before saying so. */
  async #refuseTaken(
    ctx: Context,
    namespace: string,
    name: string | undefined,
    what = 'snapshot',
  ): Promise<void> {
    if (name === undefined || !findAny(this.#records.db, namespace, this.name, name)) return;
    const exists = await this.#records.db.write((tx) => {
      if (!findAny(tx, namespace, this.name, name)) return false;
      addToLease(tx, ctx, namespace, snapshotLeaseType(this.name), name);
      this.#touch(namespace, name);
      return true;
    });
    if (exists) throw taken(what, name);
  }

  #committedParent(tx: Pick<Tx, 'get' | 'all'>, namespace: string, parent: string): number {
    const row = findAny(tx, namespace, this.name, parent);
    if (row?.state !== 'ready') throw notFound(`parent snapshot ${parent} does not exist: not found`);
    if (row.kind === 'committed') return row.id;
    throw invalidArgument(`parent ${JSON.stringify(parent)} is not committed snapshot: invalid argument`);
  }

  #commitParent(namespace: string, row: SnapshotRow, parent: string): number | null {
    if (parent === '' || parent === row.parent_name) return row.parent;
    if (row.parent !== null) {
      throw invalidArgument(
        `snapshot ${row.name} was prepared with parent ${row.parent_name}, not ${parent}: invalid argument`,
      );
    }
    const id = this.#committedParent(this.#records.db, namespace, parent);
    if (!chainOf(this.#records.db, id).includes(row.id)) return id;
    throw invalidArgument(`snapshot ${row.name} cannot be its own ancestor: invalid argument`);
  }

  /** Undoes a creation that failed: the row, then the directories. What is left, the next start removes. */
  async #forget(ctx: Context, id: number): Promise<void> {
    try {
      await this.#records.db.write((tx) =>
        tx.run("DELETE FROM snapshots WHERE id = ? AND state = 'preparing'", id),
      );
      this.#keeper.removeLater(id);
    } catch (error) {
      ctx.log.warn({ error, id }, 'snapshot that could not be made is left half-made');
    }
  }

  async #lockBoth(ctx: Context, namespace: string, names: readonly string[]): Promise<DisposableStack> {
    using stack = new DisposableStack();
    for (const name of [...new Set(names)].sort()) {
      stack.use(await this.#locks.acquire(`${namespace}/${name}`, ctx.signal));
    }
    return stack.move();
  }

  #get(ctx: Context, key: string): SnapshotRow {
    return getReady(this.#records.db, validNamespace(ctx), this.name, key);
  }

  #driverSnapshot(row: SnapshotRow) {
    return driverSnapshot(this.#records.db, row, infoOf(row).labels);
  }

  #touch(namespace: string, key: string): void {
    this.#records.changes.touch(nodeOf('snapshot', namespace, `${this.name}/${key}`));
  }
}

const taken = (what: string, name: string) =>
  alreadyExists(`${what} ${JSON.stringify(name)}: already exists`);

function fieldOf(info: SnapshotInfo, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'name') return info.name;
  if (field === 'parent') return info.parent;
  if (field === 'kind') return info.kind;
  return field === 'labels' ? labelField(info.labels, rest) : undefined;
}
