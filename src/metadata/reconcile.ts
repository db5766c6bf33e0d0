import type { Log } from '../async/context.ts';
import type { Blobs } from '../content/blobs.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import type { Db } from './db.ts';
import type { DirectoryKeeper } from './directory-keeper.ts';

/** What a start found and put right. */
export interface Reconciled {
  /** Bytes without a record, removed. */
  readonly orphanBlobs: number;
  readonly orphanIngests: number;
  /** Records without (whole) bytes, dropped: `namespace digest`. */
  readonly lostBlobs: readonly string[];
  /** Snapshots whose making was cut short, removed. */
  readonly halfMadeSnapshots: number;
}

/**
 * Brings disk and database together again after whatever happened; run before anything is served.
 * Bytes come before their record and go after it, so a crash leaves only bytes that nobody knows. A record without its
 * bytes means that something else took them: it is reported and dropped, so that the next pull fetches it again.
 */
export async function reconcile(
  db: Db,
  blobs: Blobs,
  directories: Iterable<DirectoryKeeper>,
  log: Log,
): Promise<Reconciled> {
  const halfMadeSnapshots = await db.write(
    (tx) => tx.run("DELETE FROM snapshots WHERE state = 'preparing'").changes,
  );
  for (const directory of directories) {
    await directory.cleanup({ atStart: true });
    directory.restore();
  }
  const content = blobs.isElsewhere === true ? nothingFound : await reconcileContent(db, blobs);
  const found = { ...content, halfMadeSnapshots };
  const { orphanBlobs, orphanIngests, lostBlobs } = found;
  if (lostBlobs.length > 0)
    log.error(found, 'content records without bytes were dropped: pull those images again');
  else if (orphanBlobs + orphanIngests + halfMadeSnapshots > 0)
    log.info(found, 'cleaned up after an unclean stop');
  return found;
}

const nothingFound = { orphanBlobs: 0, orphanIngests: 0, lostBlobs: [] };

async function reconcileContent(db: Db, blobs: Blobs): Promise<Omit<Reconciled, 'halfMadeSnapshots'>> {
  const orphanIngests = await removeOrphanIngests(db, blobs);
  const { orphanBlobs, present } = await removeOrphanBlobs(db, blobs);
  const lostBlobs = await dropLostRecords(db, present);
  return { orphanBlobs, orphanIngests, lostBlobs };
}

async function removeOrphanIngests(db: Db, blobs: Blobs): Promise<number> {
  const known = new Set(db.all<{ key: string }>('SELECT key FROM ingests').map(({ key }) => key));
  let removed = 0;
  for (const key of await Array.fromAsync(blobs.walkIngests())) {
    if (known.has(key)) continue;
    await blobs.abortIngest(key);
    removed++;
  }
  return removed;
}

async function removeOrphanBlobs(
  db: Db,
  blobs: Blobs,
): Promise<{ orphanBlobs: number; present: Map<string, number> }> {
  const sql = 'SELECT digest FROM blobs UNION SELECT shared FROM ingests WHERE shared IS NOT NULL';
  const known = new Set(db.all<{ digest: string }>(sql).map(({ digest }) => digest));
  const present = new Map<string, number>();
  const orphans: Digest[] = [];
  for await (const { digest, sizeBytes } of blobs.walk()) {
    if (known.has(digest)) present.set(digest, sizeBytes);
    else orphans.push(digest);
  }
  for (const digest of orphans) await blobs.delete(digest);
  return { orphanBlobs: orphans.length, present };
}

async function dropLostRecords(db: Db, present: ReadonlyMap<string, number>): Promise<string[]> {
  const rows = db.all<{ namespace: string; digest: string; size: number }>(
    'SELECT namespace, digest, size FROM blobs',
  );
  const lost = rows.filter(({ digest, size }) => present.get(digest) !== size || !isDigest(digest));
  if (lost.length === 0) return [];
  await db.write((tx) => {
    for (const { namespace, digest } of lost) {
      tx.run('DELETE FROM blobs WHERE namespace = ? AND digest = ?', namespace, digest);
    }
  });
  return lost.map(({ namespace, digest }) => `${namespace} ${digest}`);
}
