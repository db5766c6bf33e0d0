import type { Context } from '../async/context.ts';
import { notFound } from '../errors/error.ts';
import { type Node, nodeOf, partsOf } from '../metadata/changes.ts';
import type { Reader } from '../metadata/db.ts';
import { labelsFromJson } from '../metadata/labels.ts';
import { parseDigest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import { parseReference } from '../oci/reference.ts';
import type { Holdings } from './holdings.ts';
import type { StorageParts } from './parts.ts';

/**
 * Brings the bytes of a blob again, from the repositories of the images that hold it and those that its labels name.
 * They are verified before anything is replaced. @throws not_found (no source is known), what the last source answers
 */
export async function refetch(
  parts: StorageParts,
  ctx: Context,
  holdings: Holdings,
  node: Node,
): Promise<void> {
  const digest = parseDigest(partsOf(node).id);
  const size = holdings.things.get(node)?.bytes ?? 0;
  let failure: unknown = notFound(`no source of ${digest} is known: pull the image again`);
  for (const repository of sourcesOf(parts.metadata.db, holdings, digest)) {
    try {
      const descriptor = { mediaType: mediaTypeOf(parts.metadata.db, digest), digest, size };
      return await parts.metadata.bytes.replace(digest, size, parts.fetch(ctx, repository, descriptor));
    } catch (error) {
      ctx.signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

/** As `host/path`, those of images first, because only they know the port. */
function sourcesOf(db: Reader, holdings: Holdings, digest: string): ReadonlySet<string> {
  const sources = new Set<string>();
  for (const { namespace, name } of db.all<{ namespace: string; name: string }>(
    'SELECT namespace, name FROM images',
  ))
    if (holdings.reachedBy(nodeOf('image', namespace, name)).has(nodeOf('content', namespace, digest)))
      addRepository(sources, name);
  for (const { labels } of db.all<{ labels: string }>('SELECT labels FROM blobs WHERE digest = ?', digest))
    for (const [key, value] of Object.entries(labelsFromJson(labels)))
      if (key.startsWith(labelNames.sourcePrefix))
        for (const path of value.split(','))
          sources.add(`${key.slice(labelNames.sourcePrefix.length)}/${path}`);
  return sources;
}

function addRepository(sources: Set<string>, name: string): void {
  try {
    const { domain, path } = parseReference(name);
    sources.add(`${domain}/${path}`);
  } catch {
    // The name of a record need not be a reference.
  }
}

const mediaTypeOf = (db: Reader, digest: string): string =>
  db.get<{ media_type: string }>('SELECT media_type FROM images WHERE digest = ? LIMIT 1', digest)
    ?.media_type ?? 'application/octet-stream';
