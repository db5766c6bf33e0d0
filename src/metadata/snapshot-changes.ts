import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound } from '../errors/error.ts';
import { makeEvent } from '../events/topics.ts';
import type { SnapshotUsage } from '../snapshots/snapshotter.ts';
import { nodeOf } from './changes.ts';
import type { Reader, Tx } from './db.ts';
import { type Labels, labelsToJson } from './labels.ts';
import {
  addToLease,
  ensureNamespace,
  hasLease,
  noLease,
  publishAfter,
  type Records,
  removeFromLease,
  snapshotLeaseType,
} from './records.ts';
import { findAny, type SnapshotRow } from './snapshot-rows.ts';

/** Where a call acts: whose, in which namespace, on which snapshotter. */
export interface Place {
  readonly records: Records;
  readonly ctx: Context;
  readonly namespace: string;
  readonly snapshotter: string;
}

export interface NewSnapshot {
  readonly kind: 'view' | 'active';
  readonly key: string;
  readonly parent: string;
  readonly labels: Labels;
}

/** The number and the name, taken before a directory is made. @throws not_found, invalid_argument (parent), not_found (lease) */
export function reserve(tx: Tx, place: Place, { kind, key, parent, labels }: NewSnapshot): SnapshotRow {
  const { ctx, namespace, snapshotter } = place;
  const parentId = parent === '' ? null : committedParent(tx, place, parent);
  ensureNamespace(tx, namespace);
  addToLease(tx, ctx, namespace, snapshotLeaseType(snapshotter), key);
  const now = Date.now();
  tx.run(
    `INSERT INTO snapshots (namespace, snapshotter, name, parent, kind, state, labels, created_at, updated_at)
     VALUES (?, ?, ?, ?, ?, 'preparing', ?, ?, ?)`,
    namespace,
    snapshotter,
    key,
    parentId,
    kind,
    labelsToJson(labels),
    now,
    now,
  );
  touch(place, key);
  const row = findAny(tx, namespace, snapshotter, key);
  if (!row) throw notFound(`snapshot ${key} does not exist: not found`);
  return row;
}

/** The directories are there: now everybody may see it. */
export function recordReady(tx: Tx, place: Place, { kind, key, parent }: NewSnapshot, id: number): void {
  const { records, ctx, namespace, snapshotter } = place;
  tx.run("UPDATE snapshots SET state = 'ready' WHERE id = ?", id);
  addToLease(tx, ctx, namespace, snapshotLeaseType(snapshotter), key);
  touch(place, key);
  if (kind === 'active')
    publishAfter(records, tx, ctx, makeEvent('snapshotPrepare', { key, parent, snapshotter }));
}

/** Turns an active snapshot (with the parent it is to have) into the committed one called `name`. */
export function recordCommit(
  tx: Tx,
  place: Place,
  row: SnapshotRow,
  {
    name,
    labels,
    usage,
    blob = null,
  }: { name: string; labels: Labels; usage: SnapshotUsage; blob?: string | null | undefined },
): void {
  const { records, ctx, namespace, snapshotter } = place;
  const key = row.name;
  if (name !== key && findAny(tx, namespace, snapshotter, name)) throw taken('snapshot', name);
  const now = Date.now();
  tx.run(
    `UPDATE snapshots SET name = ?, kind = 'committed', parent = ?, labels = ?, size = ?, inodes = ?,
     blob = (SELECT ? WHERE ? IS NULL OR EXISTS (SELECT 1 FROM snapshots WHERE id = ? AND blob IS NOT NULL)),
     created_at = ?, updated_at = ? WHERE id = ?`,
    name,
    row.parent,
    labelsToJson(labels),
    usage.sizeBytes,
    usage.inodes,
    blob,
    row.parent,
    row.parent,
    now,
    now,
    row.id,
  );
  removeFromLease(tx, ctx, namespace, snapshotLeaseType(snapshotter), key);
  addToLease(tx, ctx, namespace, snapshotLeaseType(snapshotter), name);
  touch(place, name);
  publishAfter(records, tx, ctx, makeEvent('snapshotCommit', { key, name, snapshotter }));
}

/** A snapshot that is here already is put under the caller's lease, durably, before saying so. @throws already_exists */
export async function refuseTaken(place: Place, name: string | undefined, what = 'snapshot'): Promise<void> {
  const { records, ctx, namespace, snapshotter } = place;
  if (name === undefined || !findAny(records.db, namespace, snapshotter, name)) return;
  const exists = await records.db.write((tx) => {
    if (!findAny(tx, namespace, snapshotter, name)) return false;
    addToLease(tx, ctx, namespace, snapshotLeaseType(snapshotter), name);
    touch(place, name);
    return true;
  });
  if (exists) throw taken(what, name);
}

/** @throws not_found, invalid_argument (not committed) */
export function committedParent(db: Reader, { namespace, snapshotter }: Place, parent: string): number {
  const row = findAny(db, namespace, snapshotter, parent);
  if (row?.state !== 'ready') throw notFound(`parent snapshot ${parent} does not exist: not found`);
  if (row.kind === 'committed') return row.id;
  throw invalidArgument(
    `failed to create snapshot: parent ${JSON.stringify(parent)} is not committed snapshot: invalid argument`,
  );
}

/** @throws not_found when the caller names a lease that is not there */
export function mustHaveLease({ records, ctx, namespace }: Place): void {
  if (ctx.lease && !hasLease(records.db, namespace, ctx.lease)) throw noLease();
}

export function touch({ records, namespace, snapshotter }: Place, key: string): void {
  records.changes.touch(nodeOf('snapshot', namespace, `${snapshotter}/${key}`));
}

const taken = (what: string, name: string) =>
  alreadyExists(`${what} ${JSON.stringify(name)}: already exists`);
