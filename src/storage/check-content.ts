import { createHash } from 'node:crypto';
import type { Context } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import { partsOf } from '../metadata/changes.ts';
import { isHeld } from '../metadata/content-rows.ts';
import { algorithmOf, type Digest, hexOf, parseDigest } from '../oci/digest.ts';
import type { Step } from './check.ts';
import { type Holdings, resourceOf } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import { refetch } from './refetch.ts';

/** Every blob: is it there, is it as large as recorded, and (unless quick) are its bytes those of its digest? */
export async function* checkContent(
  parts: StorageParts,
  ctx: Context,
  holdings: Holdings,
  quick: boolean,
): AsyncGenerator<Step> {
  const seen = new Set<string>();
  for (const node of holdings.nodesOf('content')) {
    const { id } = partsOf(node);
    if (seen.has(id)) continue;
    seen.add(id);
    const digest = parseDigest(id);
    const bytes = holdings.things.get(node)?.bytes ?? 0;
    const wrong = await faultOf(parts, ctx, digest, bytes, quick);
    if (!quick) yield { bytes };
    if (wrong === undefined || !isHeld(parts.metadata.db, digest)) continue;
    const repair = (ctx: Context) => refetch(parts, ctx, holdings, node);
    yield { fault: { ...wrong, resource: resourceOf(node), repair } };
  }
}

async function faultOf(parts: StorageParts, ctx: Context, digest: Digest, bytes: number, quick: boolean) {
  try {
    const { sizeBytes } = await parts.metadata.bytes.blobs.stat(digest);
    if (sizeBytes !== bytes)
      return { kind: 'damaged-content', message: `has ${sizeBytes} bytes instead of ${bytes}` } as const;
    const found = quick ? digest : await hashOf(parts, ctx, digest);
    return found === digest
      ? undefined
      : ({ kind: 'damaged-content', message: `its bytes are those of ${found}` } as const);
  } catch (error) {
    if (isKind(error, 'not_found')) return { kind: 'lost-content', message: 'its file is gone' } as const;
    throw error;
  }
}

async function hashOf({ metadata }: StorageParts, ctx: Context, digest: Digest): Promise<string> {
  const algorithm = algorithmOf(digest);
  const hash = createHash(algorithm);
  await using reader = await metadata.bytes.blobs.open(digest);
  for await (const chunk of reader.stream()) {
    ctx.signal.throwIfAborted();
    hash.update(chunk);
  }
  return `${algorithm}:${hash.digest('hex')}`;
}

/** Files that no record knows. One that is just being recorded is told by its lock. */
export async function* orphanContent({ metadata: { db, bytes } }: StorageParts): AsyncGenerator<Step> {
  for await (const { digest, sizeBytes } of bytes.blobs.walk()) {
    if (isHeld(db, digest)) continue;
    if (!(await bytes.isOrphan(digest))) continue;
    const message = `${algorithmOf(digest)}/${hexOf(digest)}: ${sizeBytes} bytes that no record knows`;
    yield { fault: { kind: 'orphan-content', message, repair: () => bytes.release(digest) } };
  }
}

/** Files of ingests that no record knows. Records come before files, and go before them. */
export async function* orphanIngests({ metadata: { db, bytes } }: StorageParts): AsyncGenerator<Step> {
  await bytes.settled();
  for await (const key of bytes.blobs.walkIngests()) {
    const known = () => db.get('SELECT 1 FROM ingests WHERE key = ?', key) !== undefined;
    if (known() || (await bytes.blobs.findIngest(key)) === undefined || known()) continue;
    const message = `ingest/${key}: an ingest that no record knows`;
    yield { fault: { kind: 'orphan-ingest', message, repair: () => bytes.blobs.abortIngest(key) } };
  }
}
