import type { Context } from '../async/context.ts';
import type {
  ContentInfo,
  ContentReader,
  ContentStore,
  ContentWriter,
  IngestStatus,
  WriterOptions,
} from '../content/store.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobKeeper } from './blob-keeper.ts';
import { nodeOf } from './changes.ts';
import { type BlobRow, getBlob, infoOf } from './content-rows.ts';
import { validNamespace } from './identifiers.ts';
import { Ingests, type SharingPolicy } from './ingests.ts';
import { applyLabelPaths, labelField, labelsToJson, validateLabels } from './labels.ts';
import { leaseTypes, publishAfter, type Records, removeFromLease } from './records.ts';

/** The content store: records in the database, bytes in {@link BlobKeeper.blobs}. */
export class ContentRecords implements ContentStore {
  readonly #records: Records;
  readonly #keeper: BlobKeeper;
  readonly #ingests: Ingests;

  constructor(records: Records, keeper: BlobKeeper, policy: SharingPolicy = 'shared') {
    this.#records = records;
    this.#keeper = keeper;
    this.#ingests = new Ingests(records, keeper, policy);
  }

  async info(ctx: Context, digest: Digest): Promise<ContentInfo> {
    return infoOf(getBlob(this.#records.db, validNamespace(ctx), digest));
  }

  async update(
    ctx: Context,
    { digest, labels }: Pick<ContentInfo, 'digest' | 'labels'>,
    fieldPaths?: readonly string[],
  ): Promise<ContentInfo> {
    const namespace = validNamespace(ctx);
    return this.#records.db.write((tx) => {
      const current = infoOf(getBlob(tx, namespace, digest));
      const wanted = applyLabelPaths(
        current.labels,
        labels,
        fieldPaths,
        `content info ${JSON.stringify(digest)}`,
      );
      validateLabels(wanted, 'info.Labels');
      tx.run(
        'UPDATE blobs SET labels = ?, updated_at = ? WHERE namespace = ? AND digest = ?',
        labelsToJson(wanted),
        Date.now(),
        namespace,
        digest,
      );
      this.#records.changes.touch(nodeOf('content', namespace, digest));
      return infoOf(getBlob(tx, namespace, digest));
    });
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<ContentInfo[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    return this.#records.db
      .all<BlobRow>('SELECT * FROM blobs WHERE namespace = ? ORDER BY digest', namespace)
      .map(infoOf)
      .filter((info) => matches((path) => fieldOf(info, path)));
  }

  async delete(ctx: Context, digest: Digest): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      getBlob(tx, namespace, digest);
      tx.run('DELETE FROM blobs WHERE namespace = ? AND digest = ?', namespace, digest);
      removeFromLease(tx, ctx, namespace, leaseTypes.content, digest);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('contentDelete', { digest }));
    });
    this.#keeper.releaseLater(digest);
  }

  async reader(ctx: Context, digest: Digest): Promise<ContentReader> {
    getBlob(this.#records.db, validNamespace(ctx), digest);
    return this.#keeper.blobs.open(digest);
  }

  status(ctx: Context, ref: string): Promise<IngestStatus> {
    return this.#ingests.status(ctx, ref);
  }

  listStatuses(ctx: Context, filters?: readonly string[]): Promise<IngestStatus[]> {
    return this.#ingests.list(ctx, filters);
  }

  abort(ctx: Context, ref: string): Promise<void> {
    return this.#ingests.abort(ctx, ref);
  }

  writer(ctx: Context, options: WriterOptions): Promise<ContentWriter> {
    return this.#ingests.writer(ctx, options);
  }
}

function fieldOf(info: ContentInfo, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'digest') return info.digest;
  return field === 'labels' ? labelField(info.labels, rest) : undefined;
}
