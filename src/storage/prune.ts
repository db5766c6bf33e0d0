import { type Context, namespaceOf } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import { type Node, nodeOf } from '../metadata/changes.ts';
import type { Container } from '../metadata/container-store.ts';
import type { Image } from '../metadata/image-store.ts';
import { parseReference } from '../oci/reference.ts';
import { Holdings, resourceOf } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import type { Pruned, PrunedItem, PruneRequest } from './storage.ts';
import { containersInUse, imagesInUse } from './uses.ts';

/** An ingest that was not written to for so long is nobody's. */
const abandonedMs = 60 * 60 * 1000;

interface Candidate {
  readonly node: Node;
  readonly updatedAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly remove: (ctx: Context) => Promise<void>;
}

/** Removes what nothing uses; see {@link PruneRequest}. One that cannot be removed does not keep the others. */
export async function prune(parts: StorageParts, ctx: Context, request: PruneRequest): Promise<Pruned> {
  const holdings = await Holdings.read(parts.metadata, ctx);
  const candidates = (await find(parts, ctx, request, holdings)).filter((one) => matches(one, request));
  const freedBytes = holdings.freedBytes(new Set(candidates.map(({ node }) => node)));
  const items: PrunedItem[] = [];
  for (const { node, remove } of candidates) {
    const item = { resource: resourceOf(node), bytes: holdings.uniqueBytesOf(node) };
    const error = request.dryRun === true ? undefined : await failureOf(remove(ctx));
    items.push(error === undefined ? item : { ...item, error });
  }
  if (request.dryRun !== true) await parts.metadata.gc.collectNow();
  return { items, freedBytes };
}

/** Gone already is as good as removed. */
async function failureOf(removing: Promise<void>): Promise<string | undefined> {
  try {
    await removing;
    return undefined;
  } catch (error) {
    return isKind(error, 'not_found') ? undefined : messageOf(error);
  }
}

async function find(
  parts: StorageParts,
  ctx: Context,
  request: PruneRequest,
  holdings: Holdings,
): Promise<Candidate[]> {
  const containers = request.containers === true ? await idleContainers(parts, ctx) : [];
  const gone = new Set(containers.map(({ node }) => node));
  return [
    ...containers,
    ...(await unusedImages(parts, ctx, request, holdings, gone)),
    ...(await abandoned(parts, ctx)),
  ];
}

async function idleContainers(parts: StorageParts, ctx: Context): Promise<Candidate[]> {
  const running = await containersInUse(parts, ctx);
  const records = await parts.metadata.containers.list(ctx);
  const toCandidate = ({ id, labels, updatedAt }: Container) => ({
    node: nodeOf('container', namespaceOf(ctx), id),
    labels,
    updatedAt,
    remove: (ctx: Context) => parts.containers.remove(ctx, id),
  });
  return records.map(toCandidate).filter(({ node }) => !running.has(node));
}

async function unusedImages(
  { metadata }: StorageParts,
  ctx: Context,
  { all = false }: PruneRequest,
  holdings: Holdings,
  gone: ReadonlySet<Node>,
): Promise<Candidate[]> {
  const used = imagesInUse(metadata, holdings, gone);
  const images = (await metadata.images.list(ctx)).filter(({ name }) => all || isDangling(name));
  const toCandidate = ({ name, labels, updatedAt, target }: Image) => ({
    node: nodeOf('image', namespaceOf(ctx), name),
    labels,
    updatedAt,
    remove: (ctx: Context) => metadata.images.delete(ctx, name, { target }),
  });
  return images.map(toCandidate).filter(({ node }) => !used.has(node));
}

/** No tag: nobody asks for it by a name that says what it is. */
function isDangling(name: string): boolean {
  try {
    return parseReference(name).tag === undefined;
  } catch {
    return name.includes('<none>');
  }
}

/** Ingests without a writer. Their labels are none, so a filter by label leaves them out. */
async function abandoned({ metadata: { content } }: StorageParts, ctx: Context): Promise<Candidate[]> {
  const statuses = await content.listStatuses(ctx);
  return statuses
    .filter(({ updatedAt }) => updatedAt.getTime() < Date.now() - abandonedMs)
    .map(({ ref, updatedAt }) => ({
      node: nodeOf('ingest', namespaceOf(ctx), ref),
      labels: {},
      updatedAt,
      remove: (ctx: Context) => content.abort(ctx, ref),
    }));
}

function matches({ node, updatedAt, labels }: Candidate, request: PruneRequest): boolean {
  const { until, labels: wanted = [], withoutLabels = [], only } = request;
  if (until !== undefined && updatedAt > until) return false;
  const has = (label: string): boolean => {
    const at = label.indexOf('=');
    if (at < 0) return Object.hasOwn(labels, label);
    return Object.hasOwn(labels, label.slice(0, at)) && labels[label.slice(0, at)] === label.slice(at + 1);
  };
  if (!wanted.every(has) || withoutLabels.some(has)) return false;
  return only === undefined || only.some(({ kind, namespace, id }) => nodeOf(kind, namespace, id) === node);
}
