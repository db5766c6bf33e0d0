import type { ContentInfo } from '../content/store.ts';
import { notFound } from '../errors/error.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Reader } from './db.ts';
import { labelsFromJson } from './labels.ts';

export interface BlobRow {
  digest: string;
  size: number;
  labels: string;
  created_at: number;
  updated_at: number;
}

export interface IngestRow {
  ref: string;
  /** Name of its file among the backend's ingests. */
  key: string;
  total: number;
  expected: string | null;
  /** Digest of a blob of another namespace that stands in for the bytes, until the first write. */
  shared: string | null;
  /** Milliseconds; null where a lease alone keeps it. */
  expires_at: number | null;
  started_at: number;
}

export const infoOf = (row: BlobRow): ContentInfo => ({
  digest: parseDigest(row.digest),
  sizeBytes: row.size,
  createdAt: new Date(row.created_at),
  updatedAt: new Date(row.updated_at),
  labels: labelsFromJson(row.labels),
});

export const findBlob = (db: Reader, namespace: string, digest: Digest): BlobRow | undefined =>
  db.get<BlobRow>('SELECT * FROM blobs WHERE namespace = ? AND digest = ?', namespace, digest);

/** @throws not_found */
export function getBlob(db: Reader, namespace: string, digest: Digest): BlobRow {
  const row = findBlob(db, namespace, digest);
  if (!row) throw notFound(`content digest ${digest}: not found`);
  return row;
}

export const findIngest = (db: Reader, namespace: string, ref: string): IngestRow | undefined =>
  db.get<IngestRow>('SELECT * FROM ingests WHERE namespace = ? AND ref = ?', namespace, ref);

/** @throws not_found */
export function getIngest(db: Reader, namespace: string, ref: string): IngestRow {
  const row = findIngest(db, namespace, ref);
  if (!row) throw notFound(`reference ${ref}: not found`);
  return row;
}

/** Whether any namespace still needs the bytes: a record, or an ingest they stand in for. */
export const isHeld = (db: Reader, digest: Digest): boolean =>
  db.get(
    'SELECT 1 FROM blobs WHERE digest = ? UNION ALL SELECT 1 FROM ingests WHERE shared = ? LIMIT 1',
    digest,
    digest,
  ) !== undefined;

/** Size of a blob that another namespace shares with everybody, or (`isolated`) by its label. */
export function sharedSize(db: Reader, digest: Digest, isolated: boolean): number | undefined {
  const shareable = `AND EXISTS (SELECT 1 FROM namespaces n WHERE n.name = b.namespace
    AND json_extract(n.labels, '$."containerd.io/namespace.shareable"') = 'true')`;
  const sql = `SELECT b.size FROM blobs b WHERE b.digest = ? ${isolated ? shareable : ''} LIMIT 1`;
  return db.get<{ size: number }>(sql, digest)?.size;
}
