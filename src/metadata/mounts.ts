import type { Context, Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import {
  alreadyExists,
  invalidArgument,
  messageOf,
  notFound,
  notImplemented,
  unknown,
} from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import type { ActivateOptions, Activation, Activations, ActiveMount } from '../mounts/activations.ts';
import type { LocalMounts, MadeMounts } from '../mounts/local-mounts.ts';
import { planMounts } from '../mounts/plan.ts';
import { nodeOf } from './changes.ts';
import type { Db, Reader } from './db.ts';
import { validNamespace } from './identifiers.ts';
import { labelField, labelsFromJson, labelsToJson } from './labels.ts';
import { ensureNamespace, type Records } from './records.ts';

type Mount = Activation['system'][number];

interface Row {
  id: number;
  name: string;
  state: 'activating' | 'active';
  labels: string;
  /** JSON: {@link ActiveMount}s, `mountedAt` in milliseconds. */
  active: string;
  /** JSON: mounts. */
  system: string;
}

/** Longest list and name that are taken, as many and as long as containerd's database takes. */
const maxMounts = 255;
const maxNameBytes = 32_768;

/** Activations in the database, made by {@link LocalMounts}. A mount is written down before it is made. */
export class MountRecords implements Activations {
  readonly #records: Records;
  readonly #mounts: LocalMounts | undefined;
  readonly #log: Log;
  readonly #locks = new KeyedLock();
  readonly #undoing = new Set<Promise<void>>();

  constructor(records: Records, mounts: LocalMounts | undefined, log: Log) {
    this.#records = records;
    this.#mounts = mounts;
    this.#log = log;
  }

  async activate(
    ctx: Context,
    name: string,
    mounts: readonly Mount[],
    options: ActivateOptions = {},
  ): Promise<Activation> {
    const namespace = validNamespace(ctx);
    const plan = planMounts(mounts, options);
    const local = this.#mounts;
    if (plan === undefined || local === undefined) throw notImplemented('not implemented');
    refuseOdd(name, mounts);
    using _lock = await this.#locks.acquire(`${namespace}/${name}`, ctx.signal);
    using _pin = this.#records.changes.pin(nodeOf('mount', namespace, name));
    const { labels = {}, temporary = false } = options;
    const id = await this.#begin(ctx, name, labels, local.bootId);
    try {
      const made = await local.make(id, plan, temporary);
      await this.#finish(id, made);
      return { name, ...made, labels: labelsFromJson(labelsToJson(labels)) };
    } catch (error) {
      await this.#forget(id);
      throw error;
    }
  }

  async deactivate(ctx: Context, name: string): Promise<void> {
    const namespace = validNamespace(ctx);
    using _lock = await this.#locks.acquire(`${namespace}/${name}`, ctx.signal);
    const row = find(this.#records.db, namespace, name);
    if (row === undefined) throw notFound(`missing mount ${JSON.stringify(name)} bucket: not found`);
    await this.#forget(row.id);
    await this.#mounts?.undo(row.id).catch((error) => {
      throw unknown(`mount ${JSON.stringify(name)} cannot be undone yet: ${messageOf(error)}`, error);
    });
  }

  async info(ctx: Context, name: string): Promise<Activation> {
    const row = find(this.#records.db, validNamespace(ctx), name);
    if (row === undefined) throw notFound(`mount ${JSON.stringify(name)} not found`);
    return fromRow(row);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Activation[]> {
    const matches = compileFilters(filters);
    return this.#records.db
      .all<Row>('SELECT * FROM mounts WHERE namespace = ? ORDER BY name', validNamespace(ctx))
      .map(fromRow)
      .filter(({ name, labels }) =>
        matches(([field, ...rest]) => {
          if (field === 'name') return name;
          return field === 'labels' ? labelField(labels, rest) : undefined;
        }),
      );
  }

  /**
   * After a start, before anything is served: forgets what was not made to its end and what is not there any more (a
   * reboot, somebody's umount), and undoes what has no record.
   */
  async reconcile(): Promise<void> {
    const rows = this.#records.db.all<Row & { boot_id: string }>('SELECT * FROM mounts');
    for (const row of rows) {
      if (await this.#isGood(row)) continue;
      this.#log.info({ name: row.name, id: row.id }, 'activation of mounts is gone');
      await this.#forget(row.id);
    }
    await this.#mounts?.cleanup((id) => isRow(this.#records.db, id));
  }

  /** Undoes mounts whose rows a collection removed, and tries again those that were busy before. Never throws. */
  undoLater(ids: readonly number[]): void {
    const undoing = this.#undo(ids).finally(() => this.#undoing.delete(undoing));
    this.#undoing.add(undoing);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#undoing);
  }

  async #undo(ids: readonly number[]): Promise<void> {
    // A number that is given out from now on has no directory yet.
    await this.#mounts?.cleanup((id) => !ids.includes(id) && isRow(this.#records.db, id));
  }

  async #isGood(row: Row & { boot_id: string }): Promise<boolean> {
    const mounts = this.#mounts;
    if (mounts === undefined || row.state !== 'active' || row.boot_id !== mounts.bootId) return false;
    return mounts.isWhole(fromRow(row).active);
  }

  #begin(ctx: Context, name: string, labels: Activation['labels'], bootId: string): Promise<number> {
    const namespace = validNamespace(ctx);
    const now = Date.now();
    // What a power cut takes from the database it takes from the kernel as well.
    return this.#records.db.write(
      (tx) => {
        if (find(tx, namespace, name)) throw alreadyExists(`mount ${JSON.stringify(name)}: already exists`);
        ensureNamespace(tx, namespace);
        this.#records.changes.touch(nodeOf('mount', namespace, name));
        return tx.run(
          "INSERT INTO mounts VALUES (NULL, ?, ?, 'activating', ?, ?, ?, '[]', '[]', ?)",
          namespace,
          name,
          labelsToJson(labels),
          ctx.lease ?? null,
          bootId,
          now,
        ).lastId;
      },
      { durable: false },
    );
  }

  #finish(id: number, { active, system }: MadeMounts): Promise<unknown> {
    const made = active.map((mount) => ({ ...mount, mountedAt: mount.mountedAt.getTime() }));
    const values = [JSON.stringify(made), JSON.stringify(system), id];
    const sql = "UPDATE mounts SET state = 'active', active = ?, system = ? WHERE id = ?";
    return this.#records.db.write((tx) => tx.run(sql, ...values), { durable: false });
  }

  async #forget(id: number): Promise<void> {
    await this.#records.db.write((tx) => tx.run('DELETE FROM mounts WHERE id = ?', id), { durable: false });
  }
}

function refuseOdd(name: string, mounts: readonly Mount[]): void {
  if (name === '') throw unknown('bucket name required');
  if (Buffer.byteLength(name) > maxNameBytes)
    throw invalidArgument('name of the mount is too long: invalid argument');
  if (mounts.length > maxMounts)
    throw invalidArgument(`too many mounts (${mounts.length}): maximum ${maxMounts}: invalid argument`);
}

const find = (db: Reader, namespace: string, name: string): Row | undefined =>
  db.get<Row>('SELECT * FROM mounts WHERE namespace = ? AND name = ?', namespace, name);

const isRow = (db: Db, id: number): boolean => db.get('SELECT 1 FROM mounts WHERE id = ?', id) !== undefined;

function fromRow({ name, labels, active, system }: Row): Activation {
  const made = JSON.parse(active) as (Omit<ActiveMount, 'mountedAt'> & { mountedAt: number })[];
  return {
    name,
    active: made.map((mount) => ({ ...mount, mountedAt: new Date(mount.mountedAt) })),
    system: JSON.parse(system) as Mount[],
    labels: labelsFromJson(labels),
  };
}
