import type { Context } from '../async/context.ts';
import type { Digest } from '../oci/digest.ts';

/**
 * Content: blobs addressed by digest, and the ingests they grow from.
 *
 *   writer(ref) ─ write… ─ commit ▶ blob ─ info / update / reader ─ delete
 *        └ close: the ingest stays, resumable by ref └ abort(ref): gone
 *
 * Everything is seen through the namespace of the context. A blob exists exactly when its bytes are on disk,
 * verified, and durable; an ingest is private to its ref and namespace and survives restarts.
 */
export interface ContentStore {
  /** @throws not_found */
  info(ctx: Context, digest: Digest): Promise<ContentInfo>;
  /**
   * Changes labels. `fieldPaths` limits the change: `labels` replaces all, `labels.<key>` sets or (empty) removes one;
   * none given means `labels`. @throws not_found, invalid_argument (another field, labels too large)
   */
  update(
    ctx: Context,
    info: Pick<ContentInfo, 'digest' | 'labels'>,
    fieldPaths?: readonly string[],
  ): Promise<ContentInfo>;
  /** Blobs that match any of `filters` (containerd's grammar over digest, size, labels; none = all). @throws invalid_argument */
  list(ctx: Context, filters?: readonly string[]): Promise<ContentInfo[]>;
  /** Forgets the blob in this namespace; bytes go when no namespace holds it. @throws not_found */
  delete(ctx: Context, digest: Digest): Promise<void>;
  /** A reader of a whole, verified blob. @throws not_found */
  reader(ctx: Context, digest: Digest): Promise<ContentReader>;
  /** @throws not_found */
  status(ctx: Context, ref: string): Promise<IngestStatus>;
  listStatuses(ctx: Context, filters?: readonly string[]): Promise<IngestStatus[]>;
  /**
   * Opens or resumes the ingest `ref`. One writer a ref at a time.
   * @throws already_exists (`expected` is here already), unavailable (ref is locked by another writer), invalid_argument
   */
  writer(ctx: Context, options: WriterOptions): Promise<ContentWriter>;
  /** Removes an ingest. @throws not_found */
  abort(ctx: Context, ref: string): Promise<void>;
}

/** What is known of a blob in one namespace. */
export interface ContentInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly labels: Readonly<Record<string, string>>;
}

/** How far a write that is not committed has come. */
export interface IngestStatus {
  readonly ref: string;
  /** Bytes received so far. */
  readonly offset: number;
  /** Expected size in bytes, 0 when unknown. */
  readonly total: number;
  readonly expected?: Digest | undefined;
  readonly startedAt: Date;
  readonly updatedAt: Date;
}

/** What is to be written. With `expected` the write is refused at once (already_exists) where that blob is here. */
export interface WriterOptions {
  /** 1 to 1024 characters, no NUL; chosen by the caller, unique in the namespace. */
  readonly ref: string;
  readonly total?: number;
  readonly expected?: Digest | undefined;
}

/** The bytes of one blob. Dispose it. */
export interface ContentReader extends AsyncDisposable {
  readonly sizeBytes: number;
  /** Where the bytes are on this machine, for workers that read by themselves; undefined over the wire. */
  readonly path?: string;
  /** Streams [offset, end); `end` defaults to the size. @throws out_of_range when offset is past the end */
  stream(offset?: number, end?: number): AsyncIterable<Uint8Array>;
  /** All bytes, refused above `limitBytes`. @throws resource_exhausted */
  bytes(limitBytes: number): Promise<Uint8Array>;
}

/** The end of a file that somebody in this process appends to by itself, one at a time. */
export interface WriterTail {
  readonly fd: number;
  /** So many bytes more are in the file, behind those before. */
  grew(bytes: number): void;
  /** What it means that a write to it failed. */
  failed(error: unknown): unknown;
}

/** Disposing a writer that was not committed keeps the ingest for a later resume and frees the ref. */
export interface ContentWriter extends AsyncDisposable {
  readonly status: IngestStatus;
  /** Appends. The returned promise is back-pressure. */
  write(data: Uint8Array): Promise<void>;
  /**
   * For who writes a file better than it hands over bytes: the place behind what was written. The writer must not be used
   * for anything else meanwhile. Not there over the wire.
   */
  tail?(): Promise<WriterTail>;
  /** Drops everything past `offset` (0 starts again). @throws invalid_argument when offset is past the end */
  truncate(offset: number): Promise<void>;
  /** Digest of the bytes so far. */
  digest(): Promise<Digest>;
  /**
   * Verifies size (when given) and digest (when given), makes the bytes durable, then records the blob.
   * @throws failed_precondition (wrong size or digest; the ingest is kept), already_exists (labels are not applied)
   */
  commit(options?: {
    sizeBytes?: number;
    expected?: Digest | undefined;
    labels?: Readonly<Record<string, string>>;
  }): Promise<Digest>;
}
