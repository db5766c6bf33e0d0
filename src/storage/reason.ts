import { type Node, partsOf } from '../metadata/changes.ts';
import type { Reader } from '../metadata/db.ts';
import { splitSnapshot } from '../metadata/gc-mark.ts';
import { labelsFromJson } from '../metadata/labels.ts';

const prefix = 'containerd.io/gc.';

/** What makes a node a root of garbage collection, in words. */
export function rootReason(db: Reader, node: Node): string {
  const labels = labelsOf(db, node);
  const expire = labels[`${prefix}expire`];
  const until = expire === undefined ? '' : ` until ${expire}`;
  switch (partsOf(node).type) {
    case 'image':
      return `image${until}`;
    case 'container':
      return 'container';
    case 'lease':
      return `lease${until}`;
    case 'ingest':
      return 'ingest of the last 24 hours';
    default: {
      const root = Object.keys(labels).find((key) => key.startsWith(`${prefix}root`));
      if (root !== undefined) return `label ${root}`;
      return expire === undefined ? 'it is being made' : `label ${prefix}expire${until}`;
    }
  }
}

/** What in `from` (or in `to` itself) refers to `to`, in words. */
export function reasonOf(db: Reader, from: Node, to: Node): string {
  const [holder, held] = [partsOf(from), partsOf(to)];
  if (holder.type === 'lease') return 'resource of the lease';
  const label = referring(labelsOf(db, from), held.id, ['ref.', 'cond.']);
  if (label !== undefined) return `label ${label}`;
  const back = referring(labelsOf(db, to), holder.id, ['bref.']);
  if (back !== undefined) return `label ${back} of its own`;
  return natural[`${holder.type} ${held.type}`] ?? 'refers to it';
}

/** References that records have by their nature. */
const natural: Readonly<Record<string, string>> = {
  'image content': 'target of the image',
  'container snapshot': 'root file system of the container',
  'snapshot snapshot': 'parent of the snapshot',
  'ingest content': 'what the ingest is to become',
};

/** The label that names `id`: a digest, a name, or a snapshot's key without its snapshotter. */
function referring(
  labels: Readonly<Record<string, string>>,
  id: string,
  kinds: readonly string[],
): string | undefined {
  const key = id.slice(id.indexOf('/') + 1);
  return Object.entries(labels).find(
    ([name, value]) =>
      kinds.some((kind) => name.startsWith(`${prefix}${kind}`)) &&
      (value === id || value === key || value.endsWith(`|${key}`)),
  )?.[0];
}

const queries: Readonly<Record<string, string>> = {
  image: 'SELECT labels FROM images WHERE namespace = ? AND name = ?',
  container: 'SELECT labels FROM containers WHERE namespace = ? AND id = ?',
  lease: 'SELECT labels FROM leases WHERE namespace = ? AND id = ?',
  content: 'SELECT labels FROM blobs WHERE namespace = ? AND digest = ?',
  snapshot: 'SELECT labels FROM snapshots WHERE namespace = ? AND snapshotter = ? AND name = ?',
  mount: 'SELECT labels FROM mounts WHERE namespace = ? AND name = ?',
};

function labelsOf(db: Reader, node: Node): Record<string, string> {
  const { type, namespace, id } = partsOf(node);
  const sql = queries[type];
  if (sql === undefined) return {};
  const { snapshotter, name } = splitSnapshot(id);
  const keys = type === 'snapshot' ? [snapshotter, name] : [id];
  const row = db.get<{ labels: string }>(sql, namespace, ...keys);
  return row === undefined ? {} : labelsFromJson(row.labels);
}
