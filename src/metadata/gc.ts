import { daemonContext, type Log } from '../async/context.ts';
import type { BlobKeeper } from './blob-keeper.ts';
import { type Node, partsOf } from './changes.ts';
import type { DirectoryKeeper } from './directory-keeper.ts';
import { readGraph } from './gc-graph.ts';
import { mark, markTouched } from './gc-mark.ts';
import { nothingSwept, type Swept, sweepRow } from './gc-sweep.ts';
import type { Graph } from './graph.ts';
import type { MountRecords } from './mounts.ts';
import type { Records } from './records.ts';

export interface CollectorParts {
  readonly records: Records;
  readonly keeper: BlobKeeper;
  readonly directories: ReadonlyMap<string, DirectoryKeeper>;
  readonly mounts: MountRecords;
  readonly log: Log;
}

/** What one collection did. */
export interface Collection {
  /** Rows removed. */
  readonly removed: number;
  /** Until the last row was removed. */
  readonly tookMs: number;
  /** Settles when all that those rows held is gone from the disk. Never rejects. */
  readonly gone: Promise<void>;
}

const rowsPerTransaction = 200;
/** Holders of references before what they refer to, children before parents: what a crash leaves is garbage, not a gap. */
const order = ['lease', 'image', 'mount', 'ingest', 'content', 'snapshot'];

/**
 * One collection: read the graph, mark what is live, remove the rest in small transactions. Its bytes and directories
 * follow in the background (`gone`), so that a slow driver holds up only those who wait for its directories. Writers go on all the while; whatever they touch is marked again inside the transaction that would
 * remove it, so nothing that is referenced or leased at that moment is ever removed. Run one at a time.
 */
export async function collect(parts: CollectorParts): Promise<Collection> {
  const { records, log } = parts;
  const startedAt = performance.now();
  using _watch = records.changes.watch();
  const graph = await readGraph(records.db, records.changes);
  const live = mark(graph);
  const garbage = inOrder(
    graph,
    graph.collectable.filter((node) => !live.has(node)),
  );
  const swept = nothingSwept();
  for (let i = 0; i < garbage.length; i += rowsPerTransaction) {
    await sweepChunk(records, log, graph, live, garbage.slice(i, i + rowsPerTransaction), swept);
  }
  return {
    removed: swept.count,
    tookMs: performance.now() - startedAt,
    gone: removeHeld(swept, parts),
  };
}

async function removeHeld(swept: Swept, { keeper, directories, mounts }: CollectorParts) {
  // First, because they may stand on snapshots. Those that were busy the last time are tried again.
  mounts.undoLater(swept.mounts);
  await mounts.settled();
  for (const digest of swept.digests) keeper.releaseLater(digest);
  for (const key of swept.ingests) keeper.abortLater(key);
  for (const { snapshotter, id } of swept.snapshots) directories.get(snapshotter)?.removeLater(id);
  const drivers = new Set(swept.snapshots.map(({ snapshotter }) => directories.get(snapshotter)));
  await Promise.all([keeper.settled(), ...[...drivers].map((driver) => driver?.settled())]);
}

function sweepChunk(records: Records, log: Log, graph: Graph, live: Set<Node>, chunk: Node[], swept: Swept) {
  return records.db.write((tx) => {
    const { changes } = records;
    markTouched(tx, graph, live, [...changes.takeTouched(), ...changes.pinned]);
    for (const node of chunk) {
      if (live.has(node)) continue;
      sweepRow(records, tx, daemonContext(log, partsOf(node).namespace), node, swept);
    }
  });
}

function inOrder(graph: Graph, garbage: Node[]): Node[] {
  const depths = new Map<Node, number>();
  const rank = new Map(garbage.map((node) => [node, order.indexOf(partsOf(node).type)]));
  const keyOf = (node: Node) => (rank.get(node) ?? 0) * 1e6 + depthKey(graph, node, depths);
  const keys = new Map(garbage.map((node) => [node, keyOf(node)]));
  return garbage.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
}

/** Deepest snapshots first; content that refers to nothing last. */
function depthKey(graph: Graph, node: Node, depths: Map<Node, number>): number {
  if (graph.hasParent.has(node)) return 1e5 - depthOf(graph, node, depths);
  if (partsOf(node).type === 'snapshot') return 1e5;
  return graph.refs.has(node) ? 0 : 1;
}

function depthOf(graph: Graph, node: Node, depths: Map<Node, number>): number {
  const chain: Node[] = [];
  let at: Node | undefined = node;
  while (at !== undefined && !depths.has(at)) {
    chain.push(at);
    at = graph.hasParent.has(at) ? graph.refs.get(at)?.[0] : undefined;
  }
  let depth = at === undefined ? -1 : (depths.get(at) ?? 0);
  for (const link of chain.reverse()) depths.set(link, ++depth);
  return depths.get(node) ?? 0;
}
