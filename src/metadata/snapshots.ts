import type { Context } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { alreadyExists, dataLoss, failedPrecondition, invalidArgument } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import { labelNames } from '../oci/label-names.ts';
import type { DriverSnapshot } from '../snapshots/driver.ts';
import { LostSnapshot } from '../snapshots/lost-snapshot.ts';
import type {
  CommitOptions,
  Mount,
  SnapshotInfo,
  Snapshotter,
  SnapshotUsage,
  UnpackedLayer,
} from '../snapshots/snapshotter.ts';
import type { DirectoryKeeper } from './directory-keeper.ts';
import { validNamespace } from './identifiers.ts';
import { applyLabelPaths, type Labels, labelField, labelOf, labelsToJson, validateLabels } from './labels.ts';
import { publishAfter, type Records, removeFromLease, snapshotLeaseType } from './records.ts';
import {
  committedParent,
  mustHaveLease,
  type NewSnapshot,
  type Place,
  recordCommit,
  recordReady,
  refuseTaken,
  reserve,
  touch,
} from './snapshot-changes.ts';
import {
  driverSnapshot,
  getReady,
  hasChildren,
  infoOf,
  listReady,
  nameOf,
  type SnapshotRow,
  unpackedFrom,
} from './snapshot-rows.ts';

/**
 * A snapshotter: names, parents and labels in the database, directories by number in a driver.
 * A row in state `preparing` is written before directories are made; a row is gone, durably, before they are removed.
 */
export class SnapshotRecords implements Snapshotter {
  readonly name: string;
  readonly capabilities: readonly string[];
  readonly share?: (ctx: Context, key: string, layer: UnpackedLayer) => Promise<boolean>;
  readonly #records: Records;
  readonly #keeper: DirectoryKeeper;
  readonly #locks = new KeyedLock();

  constructor(records: Records, keeper: DirectoryKeeper) {
    this.name = keeper.driver.name;
    this.capabilities = keeper.driver.capabilities;
    this.#records = records;
    this.#keeper = keeper;
    const { share } = keeper.driver;
    if (share !== undefined) this.share = (ctx, key, layer) => this.#share(ctx, key, layer, share);
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.#infoOf(this.#get(ctx, key));
  }

  async update(
    ctx: Context,
    { name, labels }: Pick<SnapshotInfo, 'name' | 'labels'>,
    fieldPaths?: readonly string[],
  ): Promise<SnapshotInfo> {
    const place = this.#place(ctx);
    if (name === '') throw invalidArgument('snapshot name must not be empty: invalid argument');
    return this.#records.db.write((tx) => {
      const row = getReady(tx, place.namespace, this.name, name);
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
      touch(place, name);
      return this.#infoOf(getReady(tx, place.namespace, this.name, name));
    });
  }

  async usage(ctx: Context, key: string): Promise<SnapshotUsage> {
    const row = this.#get(ctx, key);
    if (row.size !== null && row.inodes !== null) return { sizeBytes: row.size, inodes: row.inodes };
    return this.#keeper.driver.usage(this.#driverSnapshot(row));
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    const row = this.#get(ctx, key);
    if (row.kind === 'committed') {
      throw failedPrecondition(`snapshot ${key} is committed and has no mounts: failed precondition`);
    }
    return this.#named(this.#keeper.driver.mounts(this.#driverSnapshot(row)));
  }

  prepare(ctx: Context, key: string, parent: string, labels: Labels = {}): Promise<Mount[]> {
    return this.#create(ctx, { kind: 'active', key, parent, labels });
  }

  view(ctx: Context, key: string, parent: string, labels: Labels = {}): Promise<Mount[]> {
    return this.#create(ctx, { kind: 'view', key, parent, labels });
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    labels: Labels = {},
    { parent = '', blob }: CommitOptions = {},
  ): Promise<void> {
    const place = this.#place(ctx);
    if (name === '') throw invalidArgument('snapshot name must not be empty: invalid argument');
    validateLabels(labels, 'info.Labels');
    using _both = await this.#lock(place, name, key);
    mustHaveLease(place);
    await refuseTaken(place, name);
    const active = getReady(this.#records.db, place.namespace, this.name, key);
    if (active.kind !== 'active')
      throw failedPrecondition(`snapshot ${key} is not active: failed precondition`);
    const row = { ...active, parent: this.#parentAtCommit(place, active, parent) };
    const usage = await this.#keeper.driver.commit(
      this.#driverSnapshot(row, { ...infoOf(row).labels, ...labels }),
    );
    await this.#records.db.write((tx) => recordCommit(tx, place, row, { name, labels, usage, blob }));
  }

  async remove(ctx: Context, key: string): Promise<void> {
    const place = this.#place(ctx);
    using _lock = await this.#lock(place, key);
    const id = await this.#records.db.write((tx) => {
      const row = getReady(tx, place.namespace, this.name, key);
      if (hasChildren(tx, row.id))
        throw failedPrecondition('cannot remove snapshot with child: failed precondition');
      tx.run('DELETE FROM snapshots WHERE id = ?', row.id);
      removeFromLease(tx, ctx, place.namespace, snapshotLeaseType(this.name), key);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('snapshotRemove', { key, snapshotter: this.name }));
      return row.id;
    });
    this.#keeper.removeLater(id);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<SnapshotInfo[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    return listReady(this.#records.db, namespace, this.name)
      .map((row) => this.#infoOf(row))
      .filter((info) => matches((path) => fieldOf(info, path)));
  }

  cleanup(_ctx: Context): Promise<void> {
    return this.#keeper.cleanup();
  }

  async #create(ctx: Context, wanted: NewSnapshot): Promise<Mount[]> {
    const place = this.#place(ctx);
    if (wanted.key === '') throw invalidArgument('snapshot key must not be empty: invalid argument');
    validateLabels(wanted.labels, 'info.Labels');
    using _lock = await this.#lock(place, wanted.key);
    await refuseTaken(place, labelOf(wanted.labels, labelNames.snapshotRef), 'target snapshot');
    await refuseTaken(place, wanted.key);
    // Not durable: after a power cut number and directories are unknown together, and removed at the start.
    const row = await this.#records.db.write((tx) => reserve(tx, place, wanted), { durable: false });
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#forget(ctx, row.id));
    const snapshot = this.#driverSnapshot(row, wanted.labels);
    const target = labelOf(wanted.labels, labelNames.snapshotRef);
    if ((await this.#named(this.#keeper.driver.create(snapshot))) === 'committed' && target !== undefined) {
      await this.#adopt(place, wanted, row, target);
      undo.move();
      throw targetExists(target);
    }
    const mounts = await this.#named(this.#keeper.driver.mounts(snapshot));
    // A driver may have been long about it: what nobody waits for any more would be nobody's.
    ctx.signal.throwIfAborted();
    await this.#records.db.write((tx) => recordReady(tx, place, wanted, row.id));
    undo.move();
    return mounts;
  }

  /** What a remote snapshotter has already becomes the committed snapshot that was asked for. */
  async #adopt(place: Place, wanted: NewSnapshot, row: SnapshotRow, name: string): Promise<void> {
    const usage = await this.#keeper.driver.usage(this.#driverSnapshot(row, wanted.labels));
    await this.#records.db.write((tx) => {
      recordReady(tx, place, wanted, row.id);
      recordCommit(tx, place, row, { name, labels: wanted.labels, usage });
    });
  }

  /** A driver knows numbers: what it has lost is told by name. @throws data_loss */
  async #named<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof LostSnapshot)) throw error;
      const name = nameOf(this.#records.db, error.id) ?? String(error.id);
      throw dataLoss(
        `snapshot ${name} is lost: ${error.finding}: remove its image and pull it again, or try berth fsck --repair`,
        error,
      );
    }
  }

  async #share(
    ctx: Context,
    key: string,
    layer: UnpackedLayer,
    share: (from: number, to: number) => Promise<boolean>,
  ): Promise<boolean> {
    const { id } = this.#get(ctx, key);
    for (const from of unpackedFrom(this.#records.db, this.name, layer))
      if (await share(from, id)) return true;
    return false;
  }

  #parentAtCommit(place: Place, row: SnapshotRow, parent: string): number | null {
    if (parent === '' || parent === row.parent_name) return row.parent;
    if (row.parent === null) {
      if (this.capabilities.includes('rebase')) return committedParent(this.#records.db, place, parent);
      throw failedPrecondition(`${this.name} cannot put a snapshot on another parent: failed precondition`);
    }
    throw invalidArgument(
      `snapshot ${row.name} was prepared with parent ${row.parent_name}, not ${parent}: invalid argument`,
    );
  }

  /** Undoes a creation that failed: the row, then the directories. What is left, the next start removes. */
  async #forget(ctx: Context, id: number): Promise<void> {
    try {
      const { changes } = await this.#records.db.write((tx) =>
        tx.run("DELETE FROM snapshots WHERE id = ? AND state = 'preparing'", id),
      );
      if (changes > 0) this.#keeper.removeLater(id);
    } catch (error) {
      ctx.log.warn({ error, id }, 'snapshot that could not be made is left half-made');
    }
  }

  /** Holds all `names`, taken in one order so that no two callers wait for each other. */
  async #lock({ ctx, namespace }: Place, ...names: string[]): Promise<Disposable> {
    using stack = new DisposableStack();
    for (const name of [...new Set(names)].sort()) {
      stack.use(await this.#locks.acquire(`${namespace}/${name}`, ctx.signal));
    }
    return stack.move();
  }

  #place(ctx: Context): Place {
    return { records: this.#records, ctx, namespace: validNamespace(ctx), snapshotter: this.name };
  }

  #get(ctx: Context, key: string): SnapshotRow {
    return getReady(this.#records.db, validNamespace(ctx), this.name, key);
  }

  /** What is told of a snapshot: what its driver says of it is never written down. */
  #infoOf(row: SnapshotRow): SnapshotInfo {
    const info = infoOf(row);
    const more = this.#keeper.driver.labels?.(row.id);
    return more === undefined ? info : { ...info, labels: { ...info.labels, ...more } };
  }

  #driverSnapshot(row: SnapshotRow, labels: Labels = infoOf(row).labels): DriverSnapshot {
    return driverSnapshot(this.#records.db, row, labels);
  }
}

const targetExists = (name: string) =>
  alreadyExists(`target snapshot ${JSON.stringify(name)}: already exists`);

function fieldOf(info: SnapshotInfo, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'name') return info.name;
  if (field === 'parent') return info.parent;
  if (field === 'kind') return info.kind;
  return field === 'labels' ? labelField(info.labels, rest) : undefined;
}
