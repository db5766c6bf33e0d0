import type { Log } from '../async/context.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import type { Db } from './db.ts';
import { standingSnapshots } from './snapshot-rows.ts';

/** Removes a driver's directories whose rows are gone: later one by one, or all that nobody knows. */
export class DirectoryKeeper {
  readonly driver: SnapshotDriver;
  readonly #db: Db;
  readonly #log: Log;
  readonly #removing = new Set<Promise<void>>();

  constructor(driver: SnapshotDriver, db: Db, log: Log) {
    this.driver = driver;
    this.#db = db;
    this.#log = log;
  }

  /** Starts to remove the directories of `id`, whose row is durably gone. What fails is left to {@link cleanup}. */
  removeLater(id: number): void {
    const removing = this.driver
      .remove(id)
      .catch((error) => this.#log.warn({ error, id }, 'directories of a removed snapshot are left'))
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }

  /** Tells the driver what stands, after {@link cleanup} and before anything is served. */
  restore(): void {
    this.driver.restore?.(standingSnapshots(this.#db, this.driver.name));
  }

  async settled(): Promise<void> {
    await Promise.all(this.#removing);
  }

  /**
   * Removes every directory that no row knows. Numbers given out while it runs are safe: they are new. At the start
   * (`atStart`) nothing runs, and numbers that a power cut made unknown again go as well.
   */
  async cleanup({ atStart = false } = {}): Promise<void> {
    await this.settled();
    const rows = this.#db.all<{ id: number }>(
      'SELECT id FROM snapshots WHERE snapshotter = ?',
      this.driver.name,
    );
    const ids = rows.map(({ id }) => id);
    const sequence = this.#db.get<{ seq: number }>(
      "SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'",
    );
    await this.driver.cleanup(atStart ? new Set(ids) : new KnownIds(ids, sequence?.seq ?? 0));
  }
}

/** The ids of now and every id that is still to come. */
class KnownIds extends Set<number> {
  readonly #last: number;

  constructor(ids: Iterable<number>, last: number) {
    super();
    this.#last = last;
    for (const id of ids) this.add(id);
  }

  override has(id: number): boolean {
    return id > this.#last || super.has(id);
  }
}
