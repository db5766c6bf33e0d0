import { setImmediate as nextTick } from 'node:timers/promises';
import { type Changes, type Node, nodeOf } from './changes.ts';
import type { Db } from './db.ts';
import { labelRefs } from './gc-labels.ts';
import { leasedNode } from './records.ts';

const pageRows = 500;

/** Everything the database holds, as a graph: who keeps whom, what keeps itself. */
export class Graph {
  readonly refs = new Map<Node, readonly Node[]>();
  readonly backRefs = new Map<Node, Node[]>();
  readonly roots: Node[] = [];
  /** Kept themselves, without what they refer to (leases with gc.flat). */
  readonly flat = new Set<Node>();
  /** Snapshots whose first reference is their parent. */
  readonly hasParent = new Set<Node>();
  /** What may be collected; containers never are. Leases only when expired. */
  readonly collectable: Node[] = [];

  addBackRefs(node: Node, targets: readonly Node[]): void {
    for (const target of targets) {
      const list = this.backRefs.get(target);
      if (list) list.push(node);
      else this.backRefs.set(target, [node]);
    }
  }
}

/**
 * Reads the graph a page at a time, letting others run between pages. Changes made meanwhile are the caller's to see
 * to ({@link Changes.watch}).
 */
export async function readGraph(db: Db, changes: Changes, now = Date.now()): Promise<Graph> {
  const graph = new Graph();
  await readLeases(db, graph, now);
  await readImages(db, graph, now);
  await readContainers(db, graph);
  await readBlobs(db, graph, now);
  await readIngests(db, graph, now);
  await readSnapshots(db, graph, now);
  graph.roots.push(...changes.pinned);
  return graph;
}

async function* pages<Row>(
  db: Db,
  sql: string,
  keyOf: (row: Row) => (string | number)[],
  first: (string | number)[],
) {
  for (let key = first; ; ) {
    await nextTick();
    const rows = db.all<Row>(sql, ...key, pageRows);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < pageRows) return;
    key = keyOf(last);
  }
}

interface Labelled {
  namespace: string;
  id: string;
  labels: string;
}
const keyOf = ({ namespace, id }: Labelled) => [namespace, id];
const start = ['', ''];

async function readLeases(db: Db, graph: Graph, now: number): Promise<void> {
  const sql =
    'SELECT namespace, id, labels FROM leases WHERE (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?';
  for await (const { namespace, id, labels } of pages<Labelled>(db, sql, keyOf, start)) {
    const { expiresAt, flat } = labelRefs(namespace, labels);
    if (expiresAt !== undefined && expiresAt < now) {
      graph.collectable.push(nodeOf('lease', namespace, id));
      continue;
    }
    const resources = db.all<{ type: string; id: string }>(
      'SELECT type, id FROM lease_resources WHERE namespace = ? AND lease = ?',
      namespace,
      id,
    );
    for (const resource of resources) {
      const node = leasedNode(namespace, resource.type, resource.id);
      if (!node) continue;
      if (flat) graph.flat.add(node);
      else graph.roots.push(node);
    }
  }
}

async function readImages(db: Db, graph: Graph, now: number): Promise<void> {
  const sql = `SELECT namespace, name AS id, labels, digest FROM images
    WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?`;
  for await (const row of pages<Labelled & { digest: string }>(db, sql, keyOf, start)) {
    const node = nodeOf('image', row.namespace, row.id);
    const { refs, backRefs, expiresAt } = labelRefs(row.namespace, row.labels);
    graph.refs.set(node, [nodeOf('content', row.namespace, row.digest), ...refs]);
    graph.addBackRefs(node, backRefs);
    if (expiresAt === undefined || expiresAt >= now) graph.roots.push(node);
    else graph.collectable.push(node);
  }
}

async function readContainers(db: Db, graph: Graph): Promise<void> {
  const sql = `SELECT namespace, id, labels, snapshotter, snapshot_key FROM containers
    WHERE (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?`;
  type Row = Labelled & { snapshotter: string; snapshot_key: string };
  for await (const row of pages<Row>(db, sql, keyOf, start)) {
    const node = nodeOf('container', row.namespace, row.id);
    const { refs } = labelRefs(row.namespace, row.labels);
    const snapshot =
      row.snapshotter === ''
        ? []
        : [nodeOf('snapshot', row.namespace, `${row.snapshotter}/${row.snapshot_key}`)];
    graph.refs.set(node, [...snapshot, ...refs]);
    graph.roots.push(node);
  }
}

async function readBlobs(db: Db, graph: Graph, now: number): Promise<void> {
  const sql = `SELECT namespace, digest AS id, labels FROM blobs
    WHERE (namespace, digest) > (?, ?) ORDER BY namespace, digest LIMIT ?`;
  for await (const row of pages<Labelled>(db, sql, keyOf, start)) {
    addLabelled(graph, nodeOf('content', row.namespace, row.id), row, [], now);
  }
}

async function readIngests(db: Db, graph: Graph, now: number): Promise<void> {
  const sql = `SELECT namespace, ref AS id, shared, expires_at FROM ingests
    WHERE (namespace, ref) > (?, ?) ORDER BY namespace, ref LIMIT ?`;
  type Row = Labelled & { shared: string | null; expires_at: number | null };
  for await (const { namespace, id, shared, expires_at } of pages<Row>(db, sql, keyOf, start)) {
    const node = nodeOf('ingest', namespace, id);
    if (shared !== null) graph.refs.set(node, [nodeOf('content', namespace, shared)]);
    if (expires_at !== null && expires_at >= now) graph.roots.push(node);
    graph.collectable.push(node);
  }
}

async function readSnapshots(db: Db, graph: Graph, now: number): Promise<void> {
  const sql = `SELECT s.id AS number, s.namespace, s.snapshotter || '/' || s.name AS id, s.labels, s.state,
      s.snapshotter || '/' || p.name AS parent
    FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent WHERE s.id > ? ORDER BY s.id LIMIT ?`;
  type Row = Labelled & { number: number; state: string; parent: string | null };
  for await (const row of pages<Row>(db, sql, ({ number }) => [number], [0])) {
    const node = nodeOf('snapshot', row.namespace, row.id);
    const parent = row.parent === null ? [] : [nodeOf('snapshot', row.namespace, row.parent)];
    addLabelled(graph, node, row, parent, now);
    if (parent.length > 0) graph.hasParent.add(node);
    if (row.state !== 'ready') graph.roots.push(node);
  }
}

/** Blobs and snapshots: roots only by label. */
function addLabelled(graph: Graph, node: Node, row: Labelled, refs: readonly Node[], now: number): void {
  const labelled = labelRefs(row.namespace, row.labels);
  const all = [...refs, ...labelled.refs];
  if (all.length > 0) graph.refs.set(node, all);
  graph.addBackRefs(node, labelled.backRefs);
  if (labelled.root || (labelled.expiresAt ?? 0) > now) graph.roots.push(node);
  graph.collectable.push(node);
}
