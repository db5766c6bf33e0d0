import type { Context } from '../async/context.ts';
import type { BlobIngest } from '../content/blobs.ts';
import type { ContentWriter, IngestStatus, WriterTail } from '../content/store.ts';
import { aborted, alreadyExists, failedPrecondition, invalidArgument } from '../errors/error.ts';
import { makeEvent } from '../events/topics.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobKeeper } from './blob-keeper.ts';
import { nodeOf } from './changes.ts';
import { findBlob, type IngestRow } from './content-rows.ts';
import type { Tx } from './db.ts';
import { labelsToJson, validateLabels } from './labels.ts';
import { addToLease, leaseTypes, publishAfter, type Records, removeFromLease } from './records.ts';

type CommitOptions = NonNullable<Parameters<ContentWriter['commit']>[0]>;

/** Where a writer works and on whose behalf. */
export interface WriterScope {
  readonly records: Records;
  readonly keeper: BlobKeeper;
  readonly ctx: Context;
  readonly namespace: string;
}

/** A writer whose ref, lease and result are recorded. It holds its ref until disposed or committed. */
export class RecordedWriter implements ContentWriter {
  readonly #records: Records;
  readonly #keeper: BlobKeeper;
  readonly #ctx: Context;
  readonly #namespace: string;
  readonly #row: IngestRow;
  /** Undefined while a blob of another namespace stands in for the bytes, and after the end. */
  #ingest: BlobIngest | undefined;
  /** Where there is a file to append to. */
  readonly tail?: () => Promise<WriterTail>;
  #updatedAt: Date;
  #state: 'open' | 'closed' | 'aborted' = 'open';
  #shared: Digest | undefined;
  #committed: { digest: Digest; sizeBytes: number } | undefined;
  #release: AsyncDisposableStack | undefined;

  private constructor(scope: WriterScope, row: IngestRow, ingest: BlobIngest | undefined, updatedAt: Date) {
    this.#records = scope.records;
    this.#keeper = scope.keeper;
    this.#ctx = scope.ctx;
    this.#namespace = scope.namespace;
    this.#row = row;
    this.#ingest = ingest;
    this.#updatedAt = updatedAt;
    if (scope.keeper.blobs.isElsewhere !== true) this.tail = () => this.#tail();
    this.#shared = row.shared === null ? undefined : (row.shared as Digest);
  }

  static async open(scope: WriterScope, row: IngestRow): Promise<RecordedWriter> {
    const { blobs } = scope.keeper;
    const ingest = row.shared === null ? await blobs.ingest(row.key) : undefined;
    // The clock of files goes by ticks: it may be behind the row's.
    const updatedAt = Math.max(row.started_at, ingest?.foundAt.getTime() ?? 0);
    return new RecordedWriter(scope, row, ingest, new Date(updatedAt));
  }

  /** What is given back when the writer ends: the ref, the pin. */
  onDispose(release: AsyncDisposableStack): void {
    this.#release = release;
  }

  get status(): IngestStatus {
    return {
      ref: this.#row.ref,
      offset: this.#committed?.sizeBytes ?? this.#ingest?.offset ?? this.#row.total,
      total: this.#row.total,
      ...(this.#row.expected !== null && { expected: this.#row.expected as Digest }),
      startedAt: new Date(this.#row.started_at),
      updatedAt: this.#updatedAt,
    };
  }

  async write(data: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    if (data.length === 0) return;
    const ingest = await this.#ownBytes();
    await ingest.write(data);
    this.#updatedAt = new Date();
  }

  async #tail(): Promise<WriterTail> {
    this.#mustBeOpen();
    const tail = (await this.#ownBytes()).tail?.();
    if (tail === undefined) throw failedPrecondition(`ref ${this.#row.ref} is no file here`);
    const { fd, grew, failed } = tail;
    const noted = (bytes: number) => {
      grew(bytes);
      this.#updatedAt = new Date();
    };
    return { fd, grew: noted, failed };
  }

  async truncate(offset: number): Promise<void> {
    this.#mustBeOpen();
    if (offset > this.status.offset) {
      throw invalidArgument(
        `cannot truncate to ${offset}: ingest has ${this.status.offset} bytes: invalid argument`,
      );
    }
    const ingest = await this.#ownBytes(offset);
    await ingest.truncate(offset);
    this.#updatedAt = new Date();
  }

  async digest(): Promise<Digest> {
    if (this.#committed) return this.#committed.digest;
    this.#mustBeOpen();
    return this.#shared ?? (await (await this.#ownBytes()).digest());
  }

  async commit(options: CommitOptions = {}): Promise<Digest> {
    this.#mustBeOpen();
    validateLabels(options.labels ?? {}, 'info.Labels');
    using _lock = await this.#keeper.lock(options.expected ?? (await this.digest()));
    const isShared = this.#ingest === undefined;
    const blob = await this.#finishBytes(options);
    this.#state = 'closed';
    const isNew = await this.#records.db
      .write((tx) => this.#record(tx, blob, options.labels ?? {}))
      .finally(() => this.#end())
      .catch((error) => {
        this.#keeper.releaseLater(blob.digest);
        throw error;
      });
    this.#committed = blob;
    // What an interrupted writer of this ref left, when others have brought the blob meanwhile.
    if (isShared) await this.#keeper.blobs.abortIngest(this.#row.key);
    if (!isNew) throw alreadyExists(`content ${blob.digest}: already exists`);
    return blob.digest;
  }

  /** Ends the writer because its ingest is gone. */
  async abandon(): Promise<void> {
    if (this.#state === 'open') this.#state = 'aborted';
    await this.#ingest?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed';
    await this.#end();
  }

  async #end(): Promise<void> {
    const ingest = this.#ingest;
    const release = this.#release;
    this.#ingest = undefined;
    this.#release = undefined;
    await ingest?.[Symbol.asyncDispose]();
    await release?.disposeAsync();
  }

  /** Verifies and names our own bytes; a shared blob's are verified and durable already. */
  async #finishBytes({ sizeBytes, expected }: CommitOptions): Promise<{ digest: Digest; sizeBytes: number }> {
    const offset = this.status.offset;
    if (sizeBytes && sizeBytes !== offset) {
      throw failedPrecondition(
        `${JSON.stringify(this.#row.ref)} failed size validation: ${offset} != ${sizeBytes}: failed precondition`,
      );
    }
    if (this.#ingest) return this.#ingest.commit({ sizeBytes, expected });
    const digest = await this.digest();
    if (expected && expected !== digest) {
      throw failedPrecondition(`${JSON.stringify(this.#row.ref)} unexpected digest: failed precondition`);
    }
    return { digest, sizeBytes: offset };
  }

  /** @returns false when this namespace has the blob already; the caller's lease covers it either way */
  #record(
    tx: Tx,
    { digest, sizeBytes }: { digest: Digest; sizeBytes: number },
    labels: Readonly<Record<string, string>>,
  ): boolean {
    const namespace = this.#namespace;
    const isNew = !findBlob(tx, namespace, digest);
    const now = Date.now();
    if (isNew) {
      tx.run(
        'INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?)',
        namespace,
        digest,
        sizeBytes,
        labelsToJson(labels),
        now,
        now,
      );
      const event = makeEvent('contentCreate', { digest, size: BigInt(sizeBytes) });
      publishAfter(this.#records, tx, this.#ctx, event);
    }
    tx.run('DELETE FROM ingests WHERE namespace = ? AND ref = ?', namespace, this.#row.ref);
    removeFromLease(tx, this.#ctx, namespace, leaseTypes.ingest, this.#row.ref);
    addToLease(tx, this.#ctx, namespace, leaseTypes.content, digest);
    this.#records.changes.touch(nodeOf('content', namespace, digest));
    return isNew;
  }

  /** Bytes of our own: the first write after a shared start copies what is kept of the blob. */
  async #ownBytes(keep = this.#row.total): Promise<BlobIngest> {
    if (this.#ingest) return this.#ingest;
    const shared = this.#shared;
    const ingest = await this.#keeper.blobs.ingest(this.#row.key);
    try {
      await ingest.truncate(0);
      if (shared) await copy(this.#keeper, shared, keep, ingest);
    } catch (error) {
      await ingest[Symbol.asyncDispose]();
      throw error;
    }
    const { ref } = this.#row;
    await this.#records.db.write(
      (tx) =>
        tx.run('UPDATE ingests SET shared = NULL WHERE namespace = ? AND ref = ?', this.#namespace, ref),
      { durable: false },
    );
    this.#ingest = ingest;
    this.#shared = undefined;
    return ingest;
  }

  #mustBeOpen(): void {
    if (this.#state === 'aborted') throw aborted(`ref ${this.#row.ref} was aborted: aborted`);
    if (this.#state !== 'open')
      throw failedPrecondition(`writer of ref ${this.#row.ref} is closed: failed precondition`);
  }
}

async function copy(keeper: BlobKeeper, digest: Digest, length: number, ingest: BlobIngest): Promise<void> {
  await using reader = await keeper.blobs.open(digest);
  for await (const chunk of reader.stream(0, length)) await ingest.write(chunk);
}
