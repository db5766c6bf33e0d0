import type { Context } from '../async/context.ts';
import { withDeadline } from '../async/deadline.ts';
import { Changes, type Node, type NodeType, nodeOf, partsOf } from '../metadata/changes.ts';
import { readGraph } from '../metadata/gc-graph.ts';
import { mark, splitSnapshot } from '../metadata/gc-mark.ts';
import type { Graph } from '../metadata/graph.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { Resource } from './storage.ts';

/** Something with bytes of its own. Content of several namespaces has the same bytes. */
export interface Thing {
  readonly bytes: number;
  readonly updatedAt: Date;
  /** The same for all that share these bytes. */
  readonly body: string;
}

/** A snapshotter that does not answer holds nobody up for longer. */
const usageTimeoutMs = 10_000;

/** Everything that is recorded, how large it is, and who keeps whom. */
export class Holdings {
  readonly graph: Graph;
  readonly things: ReadonlyMap<Node, Thing>;
  readonly roots: ReadonlySet<Node>;
  readonly #live: ReadonlySet<Node>;
  /** How many roots hold these bytes. */
  readonly #holders = new Map<string, number>();
  readonly #reached = new Map<Node, ReadonlySet<Node>>();

  private constructor(graph: Graph, things: ReadonlyMap<Node, Thing>) {
    this.graph = graph;
    this.things = things;
    this.roots = new Set(graph.roots);
    this.#live = mark(graph);
    for (const root of this.roots)
      for (const body of this.bodiesOf([root]).keys())
        this.#holders.set(body, (this.#holders.get(body) ?? 0) + 1);
  }

  static async read(metadata: Metadata, ctx: Context): Promise<Holdings> {
    const graph = await readGraph(metadata.db, new Changes());
    const things = new Map([
      ...blobs(metadata),
      ...(await ingests(metadata, ctx)),
      ...(await snapshots(metadata, ctx)),
    ]);
    return new Holdings(graph, things);
  }

  /** All that a node keeps, itself included. */
  reachedBy(node: Node): ReadonlySet<Node> {
    const known = this.#reached.get(node);
    if (known) return known;
    const seen = new Set<Node>();
    const queue = [node];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      queue.push(...this.keptBy(at));
    }
    if (this.roots.has(node)) this.#reached.set(node, seen);
    return seen;
  }

  /** What a node keeps directly. */
  keptBy(node: Node): readonly Node[] {
    const { refs, backRefs, flat } = this.graph;
    return [...(refs.get(node) ?? []), ...(backRefs.get(node) ?? []), ...(flat.get(node) ?? [])];
  }

  /** The bytes that nodes keep, each body once. */
  bodiesOf(nodes: Iterable<Node>): Map<string, number> {
    const bodies = new Map<string, number>();
    for (const node of nodes)
      for (const kept of this.reachedBy(node)) {
        const thing = this.things.get(kept);
        if (thing) bodies.set(thing.body, thing.bytes);
      }
    return bodies;
  }

  bytesOf(node: Node): number {
    return sum(this.bodiesOf([node]).values());
  }

  /** What nothing else keeps: freed when the root alone goes. */
  uniqueBytesOf(root: Node): number {
    const bodies = [...this.bodiesOf([root])].filter(([body]) => (this.#holders.get(body) ?? 0) <= 1);
    return sum(bodies.map(([, bytes]) => bytes));
  }

  /** What is freed when these roots go together, with what is garbage already. */
  freedBytes(gone: ReadonlySet<Node>): number {
    const kept = this.bodiesOf([...this.roots].filter((root) => !gone.has(root)));
    const all = new Map([...this.things.values()].map(({ body, bytes }) => [body, bytes]));
    return sum([...all].filter(([body]) => !kept.has(body)).map(([, bytes]) => bytes));
  }

  /** Whether a collection would leave it alone. */
  isKept(node: Node): boolean {
    return this.#live.has(node);
  }

  /** Nodes of a type that stand for something recorded. */
  nodesOf(type: NodeType): Node[] {
    return [...this.things.keys()].filter((node) => partsOf(node).type === type);
  }
}

export const resourceOf = (node: Node): Resource => {
  const { type, namespace, id } = partsOf(node);
  return { kind: type, namespace, id };
};

const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
};

interface BlobRow {
  namespace: string;
  digest: string;
  size: number;
  updated_at: number;
}

function* blobs({ db }: Metadata): Generator<[Node, Thing]> {
  for (const row of db.all<BlobRow>('SELECT namespace, digest, size, updated_at FROM blobs'))
    yield [
      nodeOf('content', row.namespace, row.digest),
      { bytes: row.size, updatedAt: new Date(row.updated_at), body: row.digest },
    ];
}

async function ingests({ db, content }: Metadata, ctx: Context): Promise<[Node, Thing][]> {
  const found: [Node, Thing][] = [];
  for (const { namespace } of db.all<{ namespace: string }>('SELECT DISTINCT namespace FROM ingests')) {
    for (const { ref, offset, updatedAt } of await content.listStatuses({ ...ctx, namespace })) {
      const node = nodeOf('ingest', namespace, ref);
      found.push([node, { bytes: offset, updatedAt, body: node }]);
    }
  }
  return found;
}

interface SnapshotRow {
  id: number;
  namespace: string;
  snapshotter: string;
  name: string;
  size: number | null;
  updated_at: number;
}

async function snapshots(metadata: Metadata, ctx: Context): Promise<[Node, Thing][]> {
  const sql =
    "SELECT id, namespace, snapshotter, snapshotter || '/' || name AS name, size, updated_at FROM snapshots WHERE state = 'ready'";
  const rows = metadata.db.all<SnapshotRow>(sql);
  return Promise.all(
    rows.map(async ({ id, namespace, snapshotter, name, size, updated_at }): Promise<[Node, Thing]> => {
      const bytes = size ?? (await measure(metadata, { ...ctx, namespace }, name));
      const body = metadata.directories.get(snapshotter)?.driver.bodyOf?.(id) ?? `snapshot ${id}`;
      return [nodeOf('snapshot', namespace, name), { bytes, updatedAt: new Date(updated_at), body }];
    }),
  );
}

/** An active snapshot, or 0 when it cannot be measured (it goes, its snapshotter does not answer). */
async function measure({ snapshotters }: Metadata, ctx: Context, id: string): Promise<number> {
  const { snapshotter, name } = splitSnapshot(id);
  const found = snapshotters.get(snapshotter);
  if (found === undefined) return 0;
  try {
    const usage = await withDeadline(ctx.signal, usageTimeoutMs, 'measure a snapshot', (signal) =>
      found.usage({ ...ctx, signal }, name),
    );
    return usage.sizeBytes;
  } catch (error) {
    ctx.log.warn({ error, snapshot: id }, 'snapshot could not be measured');
    return 0;
  }
}
