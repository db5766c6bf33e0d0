import { randomBytes } from 'node:crypto';
import type { Context } from '../async/context.ts';
import type { ContentWriter, IngestStatus, WriterOptions } from '../content/store.ts';
import { alreadyExists, invalidArgument, unavailable, wrap } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobKeeper } from './blob-keeper.ts';
import { nodeOf } from './changes.ts';
import { findBlob, findIngest, getIngest, type IngestRow, sharedSize } from './content-rows.ts';
import { RecordedWriter } from './content-writer.ts';
import type { Tx } from './db.ts';
import { validNamespace } from './identifiers.ts';
import {
  addToLease,
  ensureNamespace,
  hasLease,
  leaseTypes,
  noLease,
  type Records,
  removeFromLease,
} from './records.ts';

const dayMs = 24 * 60 * 60 * 1000;
export const maxRefLength = 1024;

/** What of one namespace another may see: `shared` (by digest, containerd's default) or `isolated` (by label only). */
export type SharingPolicy = 'shared' | 'isolated';

/** The content store's writes that are not finished: by namespace and ref, one writer at a time. */
export class Ingests {
  readonly #records: Records;
  readonly #keeper: BlobKeeper;
  readonly #isolated: boolean;
  /** Refs being written and since when (milliseconds). */
  readonly #locked = new Map<string, number>();
  readonly #open = new Map<string, RecordedWriter>();

  constructor(records: Records, keeper: BlobKeeper, policy: SharingPolicy) {
    this.#records = records;
    this.#keeper = keeper;
    this.#isolated = policy === 'isolated';
  }

  async status(ctx: Context, ref: string): Promise<IngestStatus> {
    const namespace = validNamespace(ctx);
    return this.#statusOf(namespace, getIngest(this.#records.db, namespace, ref));
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<IngestStatus[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    const rows = this.#records.db.all<IngestRow>(
      'SELECT * FROM ingests WHERE namespace = ? ORDER BY ref',
      namespace,
    );
    const found = rows.filter(({ ref }) => matches(([field]) => (field === 'ref' ? ref : undefined)));
    return Promise.all(found.map((row) => this.#statusOf(namespace, row)));
  }

  async abort(ctx: Context, ref: string): Promise<void> {
    const namespace = validNamespace(ctx);
    const { key } = await this.#records.db.write((tx) => {
      const row = getIngest(tx, namespace, ref);
      tx.run('DELETE FROM ingests WHERE namespace = ? AND ref = ?', namespace, ref);
      removeFromLease(tx, ctx, namespace, leaseTypes.ingest, ref);
      this.#records.changes.deleted();
      return row;
    });
    await this.#open.get(`${namespace}/${ref}`)?.abandon();
    await this.#keeper.blobs.abortIngest(key);
  }

  async writer(ctx: Context, options: WriterOptions): Promise<ContentWriter> {
    const namespace = validNamespace(ctx);
    validateRef(options.ref);
    if (options.expected) await this.#refuseExisting(ctx, namespace, options.expected);
    await using undo = new AsyncDisposableStack();
    undo.use(this.#lockRef(namespace, options.ref));
    undo.use(this.#records.changes.pin(nodeOf('ingest', namespace, options.ref)));
    const row = await this.#recordIngest(ctx, namespace, options);
    const writer = await RecordedWriter.open(
      { records: this.#records, keeper: this.#keeper, ctx, namespace },
      row,
    );
    undo.use(writer);
    this.#open.set(`${namespace}/${options.ref}`, writer);
    undo.defer(() => void this.#open.delete(`${namespace}/${options.ref}`));
    writer.onDispose(undo.move());
    return writer;
  }

  /** A blob that is here already is put under the caller's lease, durably, before saying so. */
  async #refuseExisting(ctx: Context, namespace: string, digest: Digest): Promise<void> {
    if (!findBlob(this.#records.db, namespace, digest)) return;
    const exists = await this.#records.db.write((tx) => {
      if (!findBlob(tx, namespace, digest)) return false;
      if (ctx.lease && !hasLease(tx, namespace, ctx.lease)) throw wrap(noLease(), 'unable to lease content');
      addToLease(tx, ctx, namespace, leaseTypes.content, digest);
      this.#records.changes.touch(nodeOf('content', namespace, digest));
      return true;
    });
    if (exists) throw alreadyExists(`content ${digest}: already exists`);
  }

  #lockRef(namespace: string, ref: string): Disposable {
    const key = `${namespace}/${ref}`;
    const since = this.#locked.get(key);
    if (since !== undefined) {
      const at = new Date(since).toISOString();
      throw unavailable(`ref ${key} locked for ${(Date.now() - since) / 1000}s (since ${at}): unavailable`);
    }
    this.#locked.set(key, Date.now());
    return { [Symbol.dispose]: () => void this.#locked.delete(key) };
  }

  /** The row precedes the file; it may be lost in a power cut, and then the file is removed at the next start. */
  async #recordIngest(ctx: Context, namespace: string, options: WriterOptions): Promise<IngestRow> {
    const { expected } = options;
    using _lock = expected ? await this.#keeper.lock(expected) : undefined;
    const present = expected ? await this.#keeper.blobs.has(expected) : false;
    const put = (tx: Tx) => this.#putIngest(tx, ctx, namespace, options, present);
    const { row, dropped } = await this.#records.db.write(put, { durable: false });
    if (dropped !== undefined) await this.#keeper.blobs.abortIngest(dropped);
    return row;
  }

  /** An ingest that was announced with another total starts again, as in containerd: `dropped` is the key of its bytes. */
  #putIngest(
    tx: Tx,
    ctx: Context,
    namespace: string,
    options: WriterOptions,
    present: boolean,
  ): { row: IngestRow; dropped: string | undefined } {
    const { ref, expected, total = 0 } = options;
    const size = expected && present ? sharedSize(tx, expected, this.#isolated) : undefined;
    const shared = expected && size !== undefined && (total === 0 || total === size) ? expected : undefined;
    const before = findIngest(tx, namespace, ref);
    const restarts = before !== undefined && before.total > 0 && total > 0 && total !== before.total;
    const old = restarts ? undefined : before;
    const leased = addToLease(tx, ctx, namespace, leaseTypes.ingest, ref);
    ensureNamespace(tx, namespace);
    tx.run(
      'INSERT OR REPLACE INTO ingests VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      namespace,
      ref,
      old?.key ?? randomBytes(16).toString('hex'),
      shared ? (size ?? 0) : (old?.total ?? total),
      expected ?? null,
      shared ?? null,
      // A lease that takes it over does not end the day that it had before, as in containerd.
      leased ? (before?.expires_at ?? null) : Date.now() + dayMs,
      old?.started_at ?? Date.now(),
    );
    this.#records.changes.touch(nodeOf('ingest', namespace, ref));
    return { row: getIngest(tx, namespace, ref), dropped: restarts ? before.key : undefined };
  }

  async #statusOf(namespace: string, row: IngestRow): Promise<IngestStatus> {
    const open = this.#open.get(`${namespace}/${row.ref}`);
    if (open) return open.status;
    const file = await this.#keeper.blobs.findIngest(row.key);
    const startedAt = new Date(row.started_at);
    return {
      ref: row.ref,
      offset: row.shared ? row.total : (file?.offset ?? 0),
      total: row.total,
      ...(row.expected !== null && { expected: row.expected as Digest }),
      startedAt,
      updatedAt: file?.updatedAt ?? startedAt,
    };
  }
}

function validateRef(ref: string): void {
  if (ref === '') throw invalidArgument('ref must not be empty: invalid argument');
  if (ref.length > maxRefLength || ref.includes('\0')) {
    throw invalidArgument(`invalid ref ${JSON.stringify(ref.slice(0, 100))}: invalid argument`);
  }
}
