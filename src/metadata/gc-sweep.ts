import type { Context } from '../async/context.ts';
import { makeEvent } from '../events/topics.ts';
import type { Digest } from '../oci/digest.ts';
import { type Node, partsOf } from './changes.ts';
import type { Tx } from './db.ts';
import { splitSnapshot } from './gc-mark.ts';
import { publishAfter, type Records } from './records.ts';

/** What has to go from the disk once the rows are durably gone. */
export interface Swept {
  readonly digests: Set<Digest>;
  /** Keys of ingest files. */
  readonly ingests: string[];
  readonly snapshots: { snapshotter: string; id: number }[];
  /** Numbers of activations. */
  readonly mounts: number[];
  /** Rows removed. */
  count: number;
}

export const nothingSwept = (): Swept => ({
  digests: new Set(),
  ingests: [],
  snapshots: [],
  mounts: [],
  count: 0,
});

/** Removes the row of `node`, if there is one, and notes what is to follow. */
export function sweepRow(records: Records, tx: Tx, ctx: Context, node: Node, swept: Swept): void {
  const { type, namespace, id } = partsOf(node);
  const removed = sweepers[type]?.(tx, namespace, id, swept) ?? 0;
  if (removed === 0) return;
  swept.count++;
  if (type === 'image') publishAfter(records, tx, ctx, makeEvent('imageDelete', { name: id }), namespace);
  if (type !== 'snapshot') return;
  const { snapshotter, name } = splitSnapshot(id);
  publishAfter(records, tx, ctx, makeEvent('snapshotRemove', { key: name, snapshotter }), namespace);
}

type Sweeper = (tx: Tx, namespace: string, id: string, swept: Swept) => number;

const sweepers: Readonly<Partial<Record<string, Sweeper>>> = {
  lease: (tx, namespace, id) =>
    tx.run('DELETE FROM leases WHERE namespace = ? AND id = ?', namespace, id).changes,
  image: (tx, namespace, id) =>
    tx.run('DELETE FROM images WHERE namespace = ? AND name = ?', namespace, id).changes,
  mount(tx, namespace, name, swept) {
    const row = tx.get<{ id: number }>(
      'SELECT id FROM mounts WHERE namespace = ? AND name = ?',
      namespace,
      name,
    );
    if (!row) return 0;
    swept.mounts.push(row.id);
    return tx.run('DELETE FROM mounts WHERE id = ?', row.id).changes;
  },
  content(tx, namespace, id, swept) {
    swept.digests.add(id as Digest);
    return tx.run('DELETE FROM blobs WHERE namespace = ? AND digest = ?', namespace, id).changes;
  },
  ingest(tx, namespace, id, swept) {
    const row = tx.get<{ key: string; shared: string | null }>(
      'SELECT key, shared FROM ingests WHERE namespace = ? AND ref = ?',
      namespace,
      id,
    );
    if (!row) return 0;
    swept.ingests.push(row.key);
    if (row.shared !== null) swept.digests.add(row.shared as Digest);
    return tx.run('DELETE FROM ingests WHERE namespace = ? AND ref = ?', namespace, id).changes;
  },
  snapshot(tx, namespace, id, swept) {
    const { snapshotter, name } = splitSnapshot(id);
    const where = "namespace = ? AND snapshotter = ? AND name = ? AND state = 'ready'";
    const row = tx.get<{ id: number }>(
      `SELECT id FROM snapshots WHERE ${where}`,
      namespace,
      snapshotter,
      name,
    );
    if (!row || tx.get('SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1', row.id)) return 0;
    swept.snapshots.push({ snapshotter, id: row.id });
    return tx.run('DELETE FROM snapshots WHERE id = ?', row.id).changes;
  },
};
