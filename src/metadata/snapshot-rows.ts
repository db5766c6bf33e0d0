import { notFound } from '../errors/error.ts';
import { labelNames } from '../oci/label-names.ts';
import type { DriverSnapshot } from '../snapshots/driver.ts';
import type { SnapshotInfo, SnapshotKind, UnpackedLayer } from '../snapshots/snapshotter.ts';
import type { Reader } from './db.ts';
import { type Labels, labelsFromJson } from './labels.ts';

export interface SnapshotRow {
  id: number;
  name: string;
  parent: number | null;
  parent_name: string | null;
  kind: SnapshotKind;
  state: 'preparing' | 'ready';
  labels: string;
  size: number | null;
  inodes: number | null;
  /** The blob that the daemon itself has unpacked here, on a parent of which the same is true. */
  blob: string | null;
  created_at: number;
  updated_at: number;
}

const select = 'SELECT s.*, p.name AS parent_name FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent';
const byName = `${select} WHERE s.namespace = ? AND s.snapshotter = ? AND s.name = ?`;

export const infoOf = (row: SnapshotRow): SnapshotInfo => ({
  name: row.name,
  parent: row.parent_name ?? '',
  kind: row.kind,
  createdAt: new Date(row.created_at),
  updatedAt: new Date(row.updated_at),
  labels: labelsFromJson(row.labels),
});

/** Also one that is still being made. */
export const findAny = (
  db: Reader,
  namespace: string,
  snapshotter: string,
  name: string,
): SnapshotRow | undefined => db.get<SnapshotRow>(byName, namespace, snapshotter, name);

/** @throws not_found (also while it is being made) */
export function getReady(db: Reader, namespace: string, snapshotter: string, name: string): SnapshotRow {
  const row = findAny(db, namespace, snapshotter, name);
  if (row?.state === 'ready') return row;
  throw notFound(`snapshot ${name} does not exist: not found`);
}

export const listReady = (db: Reader, namespace: string, snapshotter: string): SnapshotRow[] =>
  db.all<SnapshotRow>(
    `${select} WHERE s.namespace = ? AND s.snapshotter = ? AND s.state = 'ready' ORDER BY s.name`,
    namespace,
    snapshotter,
  );

export const hasChildren = (db: Reader, id: number): boolean =>
  db.get('SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1', id) !== undefined;

/** Committed snapshots of any namespace that hold this layer, unpacked out of this blob. */
export const unpackedFrom = (db: Reader, snapshotter: string, { chainId, blob }: UnpackedLayer): number[] =>
  db
    .all<{ id: number }>(
      "SELECT id FROM snapshots WHERE blob = ? AND snapshotter = ? AND name = ? AND kind = 'committed' ORDER BY id",
      blob,
      snapshotter,
      chainId,
    )
    .map(({ id }) => id);

/** Ids from `parent` up to the root of its stack, nearest first. */
export function chainOf(db: Reader, parent: number | null): number[] {
  if (parent === null) return [];
  const sql = `WITH RECURSIVE chain (id, parent, depth) AS (
      SELECT id, parent, 0 FROM snapshots WHERE id = ?
      UNION ALL SELECT s.id, s.parent, depth + 1 FROM snapshots s JOIN chain c ON s.id = c.parent
    ) SELECT id FROM chain ORDER BY depth`;
  return db.all<{ id: number }>(sql, parent).map(({ id }) => id);
}

/** What a driver is told of an active snapshot or a view: of its labels only those meant for snapshotters. */
export function driverSnapshot(
  db: Reader,
  row: Pick<SnapshotRow, 'id' | 'kind' | 'parent'>,
  labels: Labels,
): DriverSnapshot {
  return {
    id: row.id,
    kind: row.kind === 'view' ? 'view' : 'active',
    parents: chainOf(db, row.parent),
    labels: Object.fromEntries(Object.entries(labels).filter(([key]) => isInherited(key))),
  };
}

/** Every active snapshot and view, as the driver knows them. */
export function standingSnapshots(db: Reader, snapshotter: string): DriverSnapshot[] {
  const rows = db.all<Pick<SnapshotRow, 'id' | 'kind' | 'parent' | 'labels'>>(
    "SELECT id, kind, parent, labels FROM snapshots WHERE snapshotter = ? AND kind <> 'committed'",
    snapshotter,
  );
  return rows.map((row) => driverSnapshot(db, row, labelsFromJson(row.labels)));
}

/** The name of a snapshot by its number; undefined where it is gone. */
export const nameOf = (db: Reader, id: number): string | undefined =>
  db.get<{ name: string }>('SELECT name FROM snapshots WHERE id = ?', id)?.name;

const isInherited = (key: string): boolean =>
  key === labelNames.snapshotRef || key.startsWith('containerd.io/snapshot/');
