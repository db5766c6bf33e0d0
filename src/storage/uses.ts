import type { Context } from '../async/context.ts';
import { type Node, nodeOf, partsOf } from '../metadata/changes.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { Holdings } from './holdings.ts';
import type { StorageParts } from './parts.ts';

interface Row {
  namespace: string;
  id: string;
  image: string;
}

/**
 * Images that a container was made of, by its record or because it stands on a snapshot of theirs.
 * @param gone containers that do not count
 */
export function imagesInUse(
  { db }: Metadata,
  holdings: Holdings,
  gone: ReadonlySet<Node> = new Set(),
): ReadonlySet<Node> {
  const containers = db
    .all<Row>('SELECT namespace, id, image FROM containers')
    .filter(({ namespace, id }) => !gone.has(nodeOf('container', namespace, id)));
  const named = new Set(containers.map(({ namespace, image }) => nodeOf('image', namespace, image)));
  const stoodOn = new Set<Node>();
  for (const { namespace, id } of containers)
    for (const node of holdings.reachedBy(nodeOf('container', namespace, id)))
      if (partsOf(node).type === 'snapshot') stoodOn.add(node);
  const images = db.all<{ namespace: string; name: string }>('SELECT namespace, name FROM images');
  const nodes = images.map(({ namespace, name }) => nodeOf('image', namespace, name));
  return new Set(nodes.filter((node) => named.has(node) || isTopOf(holdings, node, stoodOn)));
}

/** Sharing a base layer is no use of an image: only its last snapshot is. */
function isTopOf(holdings: Holdings, image: Node, stoodOn: ReadonlySet<Node>): boolean {
  const snapshots = [...holdings.reachedBy(image)].filter((node) => partsOf(node).type === 'snapshot');
  const parents = new Set(snapshots.flatMap((node) => holdings.keptBy(node)));
  return snapshots.some((node) => !parents.has(node) && stoodOn.has(node));
}

/** Containers with a task, running or not, in all namespaces. */
export async function containersInUse(
  { metadata, tasks }: StorageParts,
  ctx: Context,
): Promise<ReadonlySet<Node>> {
  const namespaces = metadata.db.all<{ namespace: string }>('SELECT DISTINCT namespace FROM containers');
  const found = await Promise.all(
    namespaces.map(async ({ namespace }) =>
      (await tasks.list({ ...ctx, namespace }))
        .filter(({ status }) => status !== 'stopped')
        .map(({ containerId }) => nodeOf('container', namespace, containerId)),
    ),
  );
  return new Set(found.flat());
}
