import { type Node, nodeOf, partsOf } from './changes.ts';
import type { Reader } from './db.ts';
import { isMet } from './gc-conditions.ts';
import { labelRefs } from './gc-labels.ts';
import type { Graph } from './graph.ts';

/** Everything reachable from the roots of the graph as it was read. */
export function mark(graph: Graph): Set<Node> {
  const live = new Set<Node>();
  walk(live, graph.roots, (node) => [...(graph.refs.get(node) ?? []), ...(graph.backRefs.get(node) ?? [])]);
  for (const node of [...graph.flat.values()].flat()) keepFlat(graph, live, node);
  return live;
}

/**
 * Adds what changed since the graph was read began, and all it refers to now, by looking at the rows themselves.
 * A path from a root to anything that became reachable meanwhile has a changed node on it, so nothing is missed.
 */
export function markTouched(db: Reader, graph: Graph, live: Set<Node>, touched: readonly Node[]): void {
  const seen = new Set<Node>();
  walk(seen, touched, (node) => [...currentRefs(db, node), ...(graph.backRefs.get(node) ?? [])]);
  for (const node of seen) live.add(node);
}

function walk(seen: Set<Node>, from: Iterable<Node>, next: (node: Node) => readonly Node[]): void {
  const queue = [...from];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    queue.push(...next(node));
  }
}

/** A flat lease keeps the object, the parents of a snapshot and the target of an image; no label is followed. */
function keepFlat(graph: Graph, live: Set<Node>, node: Node): void {
  const { type } = partsOf(node);
  live.add(node);
  const first = graph.refs.get(node)?.[0];
  if (first === undefined) return;
  if (type === 'image') live.add(first);
  if (type === 'snapshot' && graph.hasParent.has(node)) keepFlat(graph, live, first);
}

function currentRefs(db: Reader, node: Node): Node[] {
  const { type, namespace, id } = partsOf(node);
  switch (type) {
    case 'image': {
      const row = db.get<{ labels: string; digest: string }>(
        'SELECT labels, digest FROM images WHERE namespace = ? AND name = ?',
        namespace,
        id,
      );
      return row
        ? [nodeOf('content', namespace, row.digest), ...labelledRefs(db, namespace, row.labels)]
        : [];
    }
    case 'content': {
      const row = db.get<{ labels: string }>(
        'SELECT labels FROM blobs WHERE namespace = ? AND digest = ?',
        namespace,
        id,
      );
      return row ? labelledRefs(db, namespace, row.labels) : [];
    }
    case 'sandbox': {
      const sql = 'SELECT labels FROM sandboxes WHERE namespace = ? AND id = ?';
      const row = db.get<{ labels: string }>(sql, namespace, id);
      return row ? labelledRefs(db, namespace, row.labels) : [];
    }
    case 'container':
      return containerRefs(db, namespace, id);
    case 'snapshot':
      return snapshotRefs(db, namespace, id);
    case 'ingest': {
      const row = db.get<{ expected: string | null }>(
        'SELECT expected FROM ingests WHERE namespace = ? AND ref = ?',
        namespace,
        id,
      );
      return row?.expected ? [nodeOf('content', namespace, row.expected)] : [];
    }
    case 'lease':
    case 'mount':
      return [];
  }
}

/** What labels refer to, conditional references included where they hold now. */
function labelledRefs(db: Reader, namespace: string, json: string): Node[] {
  const { refs, conditional } = labelRefs(namespace, json);
  const held = conditional.filter((ref) =>
    isMet(ref, snapshotUsedAt(db, namespace, ref.snapshot), Date.now()),
  );
  return [...refs, ...held.map(({ snapshot }) => nodeOf('snapshot', namespace, snapshot))];
}

function snapshotUsedAt(db: Reader, namespace: string, id: string): number | undefined {
  const { snapshotter, name } = splitSnapshot(id);
  const row = db.get<{ labels: string }>(
    'SELECT labels FROM snapshots WHERE namespace = ? AND snapshotter = ? AND name = ?',
    namespace,
    snapshotter,
    name,
  );
  return row && labelRefs(namespace, row.labels).usedAt;
}

function containerRefs(db: Reader, namespace: string, id: string): Node[] {
  const row = db.get<{ labels: string; snapshotter: string; snapshot_key: string }>(
    'SELECT labels, snapshotter, snapshot_key FROM containers WHERE namespace = ? AND id = ?',
    namespace,
    id,
  );
  if (!row) return [];
  const { refs } = labelRefs(namespace, row.labels);
  return row.snapshotter === ''
    ? [...refs]
    : [nodeOf('snapshot', namespace, `${row.snapshotter}/${row.snapshot_key}`), ...refs];
}

function snapshotRefs(db: Reader, namespace: string, id: string): Node[] {
  const { snapshotter, name } = splitSnapshot(id);
  const row = db.get<{ labels: string; parent: string | null }>(
    `SELECT s.labels, p.name AS parent FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent
     WHERE s.namespace = ? AND s.snapshotter = ? AND s.name = ?`,
    namespace,
    snapshotter,
    name,
  );
  if (!row) return [];
  const { refs } = labelRefs(namespace, row.labels);
  return row.parent === null
    ? [...refs]
    : [nodeOf('snapshot', namespace, `${snapshotter}/${row.parent}`), ...refs];
}

/** `<snapshotter>/<key>`; only the key may hold slashes. */
export function splitSnapshot(id: string): { snapshotter: string; name: string } {
  const slash = id.indexOf('/');
  return { snapshotter: id.slice(0, slash), name: id.slice(slash + 1) };
}
