import { setImmediate as nextTick } from 'node:timers/promises';
import { type Changes, type Node, nodeOf } from './changes.ts';
import type { Db, Reader } from './db.ts';
import { labelRefs } from './gc-labels.ts';
import { Graph } from './graph.ts';
import { leasedNode } from './records.ts';

const pageRows = 500;

/**
 * Reads the graph a page at a time, letting others run between pages. Changes made meanwhile are the caller's to see
 * to ({@link Changes.watch}).
 */
export async function readGraph(db: Db, changes: Changes, now = Date.now()): Promise<Graph> {
  const graph = new Graph();
  await readLeases(db, graph, now);
  await readImages(db, graph, now);
  await readContainers(db, graph);
  await readSandboxes(db, graph);
  await readBlobs(db, graph, now);
  await readIngests(db, graph, now);
  await readSnapshots(db, graph, now);
  await readMounts(db, graph);
  graph.roots.push(...changes.pinned);
  graph.resolveConditional(now);
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
    const lease = nodeOf('lease', namespace, id);
    const { expiresAt, flat } = labelRefs(namespace, labels);
    if (expiresAt !== undefined && expiresAt < now) {
      graph.collectable.push(lease);
      continue;
    }
    graph.roots.push(lease);
    (flat ? graph.flat : graph.refs).set(lease, resourcesOf(db, namespace, id));
  }
}

function resourcesOf(db: Reader, namespace: string, lease: string): Node[] {
  const sql = 'SELECT type, id FROM lease_resources WHERE namespace = ? AND lease = ?';
  const resources = db.all<{ type: string; id: string }>(sql, namespace, lease);
  const mounts = db.all<{ name: string }>(
    'SELECT name FROM mounts WHERE namespace = ? AND lease = ?',
    namespace,
    lease,
  );
  return [
    ...resources.map(({ type, id }) => leasedNode(namespace, type, id)).filter((node) => node !== undefined),
    ...mounts.map(({ name }) => nodeOf('mount', namespace, name)),
  ];
}

async function readImages(db: Db, graph: Graph, now: number): Promise<void> {
  const sql = `SELECT namespace, name AS id, labels, digest FROM images
    WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?`;
  for await (const row of pages<Labelled & { digest: string }>(db, sql, keyOf, start)) {
    const node = nodeOf('image', row.namespace, row.id);
    const labels = labelRefs(row.namespace, row.labels);
    const { expiresAt } = labels;
    graph.addLabels(node, row.namespace, labels, [nodeOf('content', row.namespace, row.digest)]);
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

/** They refer to what their labels name, and are never collected. */
async function readSandboxes(db: Db, graph: Graph): Promise<void> {
  const sql =
    'SELECT namespace, id, labels FROM sandboxes WHERE (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?';
  for await (const { namespace, id, labels } of pages<Labelled>(db, sql, keyOf, start)) {
    const node = nodeOf('sandbox', namespace, id);
    graph.refs.set(node, labelRefs(namespace, labels).refs);
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
  const sql = `SELECT namespace, ref AS id, expected, expires_at FROM ingests
    WHERE (namespace, ref) > (?, ?) ORDER BY namespace, ref LIMIT ?`;
  type Row = Labelled & { expected: string | null; expires_at: number | null };
  for await (const { namespace, id, expected, expires_at } of pages<Row>(db, sql, keyOf, start)) {
    const node = nodeOf('ingest', namespace, id);
    if (expected !== null) graph.refs.set(node, [nodeOf('content', namespace, expected)]);
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

/** Activations of mounts refer to nothing; what their labels name keeps them. */
async function readMounts(db: Db, graph: Graph): Promise<void> {
  const sql =
    'SELECT namespace, name AS id, labels FROM mounts WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?';
  for await (const { namespace, id, labels } of pages<Labelled>(db, sql, keyOf, start)) {
    const node = nodeOf('mount', namespace, id);
    graph.addBackRefs(node, labelRefs(namespace, labels).backRefs);
    graph.collectable.push(node);
  }
}

/** Blobs and snapshots: roots only by label. */
function addLabelled(graph: Graph, node: Node, row: Labelled, refs: readonly Node[], now: number): void {
  const labelled = labelRefs(row.namespace, row.labels);
  graph.addLabels(node, row.namespace, labelled, refs);
  if (labelled.root || (labelled.expiresAt ?? 0) > now) graph.roots.push(node);
  graph.collectable.push(node);
}
