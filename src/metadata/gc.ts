import { daemonContext, type Log } from '../async/context.ts';
import type { BlobKeeper } from './blob-keeper.ts';
import { type Node, partsOf } from './changes.ts';
import type { DirectoryKeeper } from './directory-keeper.ts';
import { type Graph, readGraph } from './gc-graph.ts';
import { mark, markTouched } from './gc-mark.ts';
import { nothingSwept, type Swept, sweepRow } from './gc-sweep.ts';
import type { Records } from './records.ts';

export interface CollectorParts {
  readonly records: Records;
  readonly keeper: BlobKeeper;
  readonly directories: ReadonlyMap<string, DirectoryKeeper>;
  readonly log: Log;
}

/** What one collection did. */
export interface Collection {
  /** Rows removed. */
  readonly removed: number;
  readonly tookMs: number;
}

const rowsPerTransaction = 200;
const removalsAtOnce = 16;
/** Holders of references before what they refer to, children before parents: what a crash leaves is garbage, not a gap. */
const order = ['lease', 'image', 'ingest', 'content', 'snapshot'];

/**
 * One collection: read the graph, mark what is live, remove the rest in small transactions, then its bytes and
 * directories. Writers go on all the while; whatever they touch is marked again inside the transaction that would
 * remove it, so nothing that is referenced or leased at that moment is ever removed. Run one at a time.
 */
export async function collect({ records, keeper, directories, log }: CollectorParts): Promise<Collection> {
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
  await removeBytes(keeper, swept);
  for (const { snapshotter, id } of swept.snapshots) directories.get(snapshotter)?.removeLater(id);
  await keeper.settled();
  await Promise.all([...directories.values()].map((directory) => directory.settled()));
  return { removed: swept.count, tookMs: performance.now() - startedAt };
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

async function removeBytes(keeper: BlobKeeper, { digests, ingests }: Swept): Promise<void> {
  const jobs = [
    ...[...digests].map((digest) => () => keeper.release(digest)),
    ...ingests.map((key) => () => keeper.blobs.abortIngest(key)),
  ];
  const next = jobs[Symbol.iterator]();
  const worker = async () => {
    for (const job of next) await job();
  };
  await Promise.all(Array.from({ length: removalsAtOnce }, worker));
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
