import type { Digest } from '../oci/digest.ts';
import type { ContentReader, WriterTail } from './store.ts';

/**
 * The backend under a content store: files by digest, ingests by an opaque key. It knows neither namespaces nor
 * labels (metadata does) and keeps no state but the directory, so that it can be checked by looking at it.
 */
export interface Blobs {
  /**
   * Kept by another process, which may have other users: there are no files to append to, and nothing is concluded from
   * what is or is not there.
   */
  readonly isElsewhere?: boolean;
  has(digest: Digest): Promise<boolean>;
  /** @throws not_found */
  stat(digest: Digest): Promise<{ sizeBytes: number; modifiedAt: Date }>;
  /** @throws not_found */
  open(digest: Digest): Promise<ContentReader>;
  /** Idempotent: absent is fine. Durable on return. */
  delete(digest: Digest): Promise<void>;
  walk(): AsyncIterable<{ digest: Digest; sizeBytes: number }>;
  /** Opens or resumes the ingest `key` (a file name the caller made: [A-Za-z0-9_-]{1,128}). */
  ingest(key: string): Promise<BlobIngest>;
  /** Bytes written to the ingest `key`, undefined when there is none. */
  findIngest(key: string): Promise<{ offset: number; startedAt: Date; updatedAt: Date } | undefined>;
  /** Idempotent. */
  abortIngest(key: string): Promise<void>;
  walkIngests(): AsyncIterable<string>;
}

/** One open ingest. Disposing keeps the bytes. */
export interface BlobIngest extends AsyncDisposable {
  readonly offset: number;
  /** When bytes were last written before it was opened. */
  readonly foundAt: Date;
  write(data: Uint8Array): Promise<void>;
  /** See `ContentWriter.tail`. */
  tail?(): WriterTail;
  truncate(offset: number): Promise<void>;
  digest(): Promise<Digest>;
  /**
   * fsync, rename to its digest, fsync of the directory. Joins an existing blob of the same digest silently.
   * @throws failed_precondition when size or digest differ from what is expected (the ingest is kept)
   */
  commit(options: {
    sizeBytes?: number | undefined;
    expected?: Digest | undefined;
  }): Promise<{ digest: Digest; sizeBytes: number }>;
}
