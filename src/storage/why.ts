import { notFound } from '../errors/error.ts';
import { type Node, nodeOf, partsOf } from '../metadata/changes.ts';
import type { Reader } from '../metadata/db.ts';
import { containerLabels } from '../oci/label-names.ts';
import { normalizeReference } from '../oci/reference.ts';
import { type Holdings, resourceOf } from './holdings.ts';
import { reasonOf, rootReason } from './reason.ts';
import type { WhySubject } from './storage.ts';

const maxPaths = 100;
/** Directed paths may be very many; so many steps are looked at before giving up. */
const maxSteps = 100_000;

/** What `target` names in a namespace, and every path that keeps it. @throws not_found */
export function why(db: Reader, holdings: Holdings, namespace: string, target: string): WhySubject[] {
  const nodes = named(db, holdings, namespace, target);
  if (nodes.length === 0)
    throw notFound(
      `nothing in namespace ${namespace} is called ${JSON.stringify(target.slice(0, 200))}: not found`,
    );
  const keepers = reversed(holdings);
  return nodes.map((node) => {
    const { paths, truncated } = pathsTo(holdings, keepers, node);
    const thing = holdings.things.get(node);
    return {
      resource: resourceOf(node),
      bytes: thing?.bytes ?? holdings.bytesOf(node),
      paths: paths.map((path) =>
        path.map((step, i) => ({ resource: resourceOf(step), because: because(db, path, i) })),
      ),
      truncated,
    };
  });
}

function because(db: Reader, path: readonly Node[], i: number): string {
  const [before, node] = [path[i - 1], path[i]];
  if (node === undefined) return '';
  return before === undefined ? rootReason(db, node) : reasonOf(db, before, node);
}

function named(db: Reader, holdings: Holdings, namespace: string, target: string): Node[] {
  const exact = [
    ...imageNames(target).map((name) => nodeOf('image', namespace, name)),
    nodeOf('container', namespace, target),
    nodeOf('lease', namespace, target),
    nodeOf('ingest', namespace, target),
  ].filter((node) => isRecorded(db, holdings, node));
  const byLabel = db
    .all<{ id: string; labels: string }>('SELECT id, labels FROM containers WHERE namespace = ?', namespace)
    .filter(({ labels }) => JSON.parse(labels)[containerLabels.name] === target)
    .map(({ id }) => nodeOf('container', namespace, id));
  const found = [...new Set([...exact, ...byLabel, ...byKey(holdings, namespace, (key) => key === target)])];
  return found.length > 0 ? found : byPrefix(db, holdings, namespace, target);
}

/** Content of any namespace, snapshots of this one. */
function byKey(holdings: Holdings, namespace: string, matches: (key: string) => boolean): Node[] {
  const content = holdings.nodesOf('content').filter((node) => matches(partsOf(node).id));
  const snapshots = holdings.nodesOf('snapshot').filter((node) => {
    const parts = partsOf(node);
    return (
      parts.namespace === namespace &&
      (matches(parts.id) || matches(parts.id.slice(parts.id.indexOf('/') + 1)))
    );
  });
  return [...content, ...snapshots];
}

function byPrefix(db: Reader, holdings: Holdings, namespace: string, target: string): Node[] {
  const digits = /^(?:sha256:)?([0-9a-f]{4,})$/.exec(target)?.[1];
  if (digits === undefined) return [];
  const containers = db
    .all<{ id: string }>(
      'SELECT id FROM containers WHERE namespace = ? AND substr(id, 1, ?) = ?',
      namespace,
      digits.length,
      digits,
    )
    .map(({ id }) => nodeOf('container', namespace, id));
  return [...containers, ...byKey(holdings, namespace, (key) => key.startsWith(`sha256:${digits}`))];
}

function imageNames(target: string): string[] {
  try {
    return [target, normalizeReference(target)];
  } catch {
    return [target];
  }
}

const tables: Readonly<Record<string, readonly [table: string, column: string]>> = {
  image: ['images', 'name'],
  container: ['containers', 'id'],
  lease: ['leases', 'id'],
};

function isRecorded(db: Reader, holdings: Holdings, node: Node): boolean {
  const { type, namespace, id } = partsOf(node);
  const [table, column] = tables[type] ?? [];
  if (table === undefined) return holdings.things.has(node);
  return db.get(`SELECT 1 FROM ${table} WHERE namespace = ? AND ${column} = ?`, namespace, id) !== undefined;
}

/** Who keeps a node directly. */
function reversed(holdings: Holdings): ReadonlyMap<Node, readonly Node[]> {
  const { refs, backRefs, flat } = holdings.graph;
  const keepers = new Map<Node, Node[]>();
  for (const from of new Set([...refs.keys(), ...backRefs.keys(), ...flat.keys()]))
    for (const to of new Set(holdings.keptBy(from))) keepers.set(to, [...(keepers.get(to) ?? []), from]);
  return keepers;
}

/** Paths without loops, roots first. A root that is the target itself is a path of one step. */
function pathsTo(holdings: Holdings, keepers: ReadonlyMap<Node, readonly Node[]>, target: Node) {
  const paths: Node[][] = [];
  let steps = 0;
  const stack: Node[][] = [[target]];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    if (++steps > maxSteps || paths.length >= maxPaths) return { paths, truncated: true };
    const [first = target] = path;
    if (holdings.roots.has(first)) paths.push(path);
    for (const keeper of keepers.get(first) ?? []) if (!path.includes(keeper)) stack.push([keeper, ...path]);
  }
  return { paths, truncated: false };
}
