import { existsSync, statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setImmediate as nextTick } from 'node:timers/promises';
import { dataLoss, failedPrecondition, unavailable } from '../errors/error.ts';
import { Checkpointer } from './checkpointer.ts';
import { migrations } from './schema.ts';
import { translate, translateOpening } from './sqlite-errors.ts';
import { WalSync } from './wal-sync.ts';

/** What SQLite takes and gives: text, safe integers, bytes, null. */
export type SqlValue = string | number | null | Uint8Array;

/** Prepared, cached, synchronous reads. `Row` is the caller's word for the columns it names. */
export interface Reader {
  get<Row>(sql: string, ...params: SqlValue[]): Row | undefined;
  all<Row>(sql: string, ...params: SqlValue[]): Row[];
}

/** One mutation inside {@link Db.write}: sees its own changes; all or nothing. */
export interface Tx extends Reader {
  run(sql: string, ...params: SqlValue[]): { changes: number; lastId: number };
  /** Runs `hook` once the mutation is durable and before its promise resolves, in commit order. It must not throw. */
  after(hook: () => void): void;
}

/** How a mutation is made. */
export interface WriteOptions {
  /** Whether the promise waits for the disk; default true. */
  readonly durable?: boolean;
  /** Whether listeners of {@link Db.onCommit} are told; default true. */
  readonly counted?: boolean;
}

/**
 * The metadata database: SQLite in WAL mode, and the only door to it.
 * Mutations of one tick share a transaction, each under its own savepoint, so that one that throws leaves the others
 * alone. A promise of {@link Db.write} resolves when its mutation is on disk (group commit, docs/decisions/0002).
 */
export interface Db extends Reader, AsyncDisposable {
  readonly path: string;
  /**
   * Runs `fn` synchronously in the next transaction. With `durable: false` the promise resolves at COMMIT: it survives
   * kill -9, not a power cut. What `fn` throws rejects the promise and undoes only `fn`.
   * @throws data_loss (disk or database broken), resource_exhausted (disk full), unavailable (closed)
   */
  write<T>(fn: (tx: Tx) => T, options?: WriteOptions): Promise<T>;
  /** Called after each transaction that changed something, with the number of mutations in it. */
  onCommit(listener: (mutations: number) => void): void;
  /**
   * Called once when the disk failed to take the log, after those who wrote were told: nothing is promised any more, and
   * this process must end without closing the database, which would copy pages that may not be what was written.
   */
  onBroken(listener: (error: unknown) => void): void;
  /** Frees the pages of the file that are kept in memory, up to 8 MiB; whoever needs one reads it again. For quiet moments. */
  releaseMemory(): void;
}

interface Job {
  fn(tx: Tx): unknown;
  durable: boolean;
  counted: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}
type Settled = { job: Job; hooks: (() => void)[]; outcome: { value: unknown } | { error: unknown } };

const maxMutationsPerTransaction = 256;

/**
 * Opens (or makes) the database and brings it to the current version.
 * @throws failed_precondition (made by a newer Berth), data_loss (damaged or no database)
 */
export function openDb(path: string): Db {
  try {
    return open(path);
  } catch (error) {
    throw translateOpening(error, path);
  }
}

function open(path: string): Db {
  const unclean = existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0;
  const sqlite = new DatabaseSync(path, { timeout: 5000, enableForeignKeyConstraints: true });
  try {
    sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0');
    sqlite.exec(
      'PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192',
    );
    if (unclean) verify(sqlite);
    migrate(sqlite, path);
    // The log must exist (and its name be durable) before anything is promised.
    sqlite.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${migrations.length}; COMMIT`);
    return new SqliteDb(path, sqlite, new WalSync(`${path}-wal`));
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

/** Copies the log into the database file and lets the log start over. For the checkpoint worker. */
export function checkpoint(path: string): void {
  const sqlite = new DatabaseSync(path, { timeout: 1000 });
  try {
    sqlite.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_checkpoint(PASSIVE)');
  } finally {
    sqlite.close();
  }
}

function verify(sqlite: DatabaseSync): void {
  const answer = Object.values(sqlite.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
  if (answer !== 'ok') throw dataLoss(String(answer));
}

function migrate(sqlite: DatabaseSync, path: string): void {
  const version = Number(Object.values(sqlite.prepare('PRAGMA user_version').get() ?? {})[0] ?? 0);
  if (version > migrations.length) {
    throw failedPrecondition(
      `metadata database ${path} has version ${version}, this Berth knows up to ${migrations.length}: start the newer Berth`,
    );
  }
  for (let v = version; v < migrations.length; v++) {
    sqlite.exec(`BEGIN IMMEDIATE; ${migrations[v]}; PRAGMA user_version = ${v + 1}; COMMIT`);
  }
}

class SqliteDb implements Db {
  readonly path: string;
  readonly #sqlite: DatabaseSync;
  readonly #wal: WalSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #listeners: ((mutations: number) => void)[] = [];
  readonly #brokenListeners: ((error: unknown) => void)[] = [];
  readonly #settling = new Set<Promise<void>>();
  /** Transactions with a mutation that was not refused, and how many of them are on disk. */
  #committed = 0;
  #synced = 0;
  readonly #checkpointer: Checkpointer;
  #jobs: Job[] = [];
  #scheduled = false;
  #closed = false;

  constructor(path: string, sqlite: DatabaseSync, wal: WalSync) {
    this.path = path;
    this.#sqlite = sqlite;
    this.#wal = wal;
    this.#checkpointer = new Checkpointer(path, () => this.#framesInLog());
  }

  get<Row>(sql: string, ...params: SqlValue[]): Row | undefined {
    return this.#statement(sql).get(...(params as SQLInputValue[])) as Row | undefined;
  }

  all<Row>(sql: string, ...params: SqlValue[]): Row[] {
    return this.#statement(sql).all(...(params as SQLInputValue[])) as Row[];
  }

  onCommit(listener: (mutations: number) => void): void {
    this.#listeners.push(listener);
  }

  onBroken(listener: (error: unknown) => void): void {
    this.#brokenListeners.push(listener);
  }

  releaseMemory(): void {
    if (!this.#closed) this.#sqlite.exec('PRAGMA shrink_memory');
  }

  write<T>(fn: (tx: Tx) => T, { durable = true, counted = true }: WriteOptions = {}): Promise<T> {
    if (this.#closed) return Promise.reject(unavailable('metadata database is closed'));
    if (this.#wal.failure) return Promise.reject(this.#wal.failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#jobs.push({ fn, durable, counted, resolve, reject });
    if (!this.#scheduled) this.#schedule();
    return promise as Promise<T>;
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const jobs = this.#jobs.splice(0, maxMutationsPerTransaction);
      if (this.#jobs.length > 0) this.#schedule();
      this.#transact(jobs);
    });
  }

  #transact(jobs: readonly Job[]): void {
    let settled: Settled[];
    try {
      this.#sqlite.exec('BEGIN IMMEDIATE');
      settled = jobs.map((job) => this.#mutate(job));
      this.#sqlite.exec('COMMIT');
    } catch (error) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK');
      for (const job of jobs) job.reject(translate(error));
      return;
    }
    const counted = jobs.filter((job) => job.counted).length;
    if (counted > 0) for (const listener of this.#listeners) listener(counted);
    this.#settle(settled);
  }

  #mutate(job: Job): Settled {
    const hooks: (() => void)[] = [];
    this.#sqlite.exec('SAVEPOINT mutation');
    try {
      const value = job.fn(this.#tx(hooks));
      this.#sqlite.exec('RELEASE mutation');
      return { job, hooks, outcome: { value } };
    } catch (error) {
      // Some errors (disk full) end the whole transaction: then nobody in it is told that it worked.
      if (!this.#sqlite.isTransaction) throw error;
      this.#sqlite.exec('ROLLBACK TO mutation; RELEASE mutation');
      return { job, hooks: [], outcome: { error: translate(error) } };
    }
  }

  #tx(hooks: (() => void)[]): Tx {
    return {
      get: (sql, ...params) => this.get(sql, ...params),
      all: (sql, ...params) => this.all(sql, ...params),
      run: (sql, ...params) => {
        const { changes, lastInsertRowid } = this.#statement(sql).run(...(params as SQLInputValue[]));
        return { changes: Number(changes), lastId: Number(lastInsertRowid) };
      },
      after: (hook) => hooks.push(hook),
    };
  }

  #settle(settled: readonly Settled[]): void {
    if (settled.some(({ outcome }) => 'value' in outcome)) this.#committed++;
    const upTo = this.#committed;
    finish(settled.filter(({ job }) => !job.durable));
    const durable = settled.filter(({ job }) => job.durable);
    if (durable.length === 0) return;
    // Only refusals, and nothing that they could rest on waits for the disk.
    if (upTo === this.#synced) finish(durable);
    else this.#finishOnDisk(durable, upTo);
    this.#checkpointer.committed();
  }

  #finishOnDisk(durable: readonly Settled[], upTo: number): void {
    const done = this.#wal.sync().then(
      () => {
        this.#synced = Math.max(this.#synced, upTo);
        finish(durable);
      },
      (error) => {
        for (const { job } of durable) job.reject(error);
        for (const tell of this.#brokenListeners.splice(0)) tell(error);
      },
    );
    this.#settling.add(done);
    void done.finally(() => this.#settling.delete(done));
  }

  #framesInLog(): number {
    const { log = 0, checkpointed = 0 } =
      this.get<{ log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)') ?? {};
    return log - checkpointed;
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#scheduled) await nextTick();
    await Promise.all(this.#settling);
    await this.#checkpointer.settled();
    this.#wal[Symbol.dispose]();
    this.#sqlite.close();
  }
}

function finish(settled: readonly Settled[]): void {
  for (const { job, hooks, outcome } of settled) {
    for (const hook of hooks) hook();
    if ('error' in outcome) job.reject(outcome.error);
    else job.resolve(outcome.value);
  }
}
