import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import type { ContentStore, IngestStatus } from '../content/store.ts';
import { isKind, messageOf } from '../errors/error.ts';
import type { NamespaceStore } from '../metadata/namespace-store.ts';

/** How much of what was cut off is kept for the next try. */
export interface PartialLimits {
  /** All namespaces together. */
  readonly bytes: number;
  readonly ageMs: number;
}

const sweepEveryMs = 10 * 60_000;
/** What was written to a moment ago is being written. */
const idleMs = 60_000;

interface Stores {
  readonly content: ContentStore;
  readonly namespaces: NamespaceStore;
}

interface Partial {
  readonly namespace: string;
  readonly status: IngestStatus;
}

/** Sweeps now and every ten minutes until the signal fires. `limits` is asked each time. */
export async function keepPartialsSmall(
  stores: Stores,
  ctx: Context,
  limits: () => PartialLimits,
): Promise<void> {
  while (!ctx.signal.aborted) {
    await sweepPartials(stores, ctx, limits()).catch((error: unknown) =>
      ctx.log.warn({ error: messageOf(error) }, 'partial downloads could not be swept'),
    );
    await sleep(sweepEveryMs, undefined, { signal: ctx.signal, ref: false }).catch(() => {});
  }
}

/**
 * Removes unfinished content that nobody is writing: what is too old, then the oldest until the rest is within the limit.
 * @returns how many were removed
 */
export async function sweepPartials(stores: Stores, ctx: Context, limits: PartialLimits): Promise<number> {
  const partials = await idlePartials(stores, ctx);
  const now = Date.now();
  let keptBytes = 0;
  let removed = 0;
  // Newest first: what does not fit any more is older than all that is kept.
  for (const { namespace, status } of partials) {
    keptBytes += status.offset;
    if (keptBytes <= limits.bytes && now - status.updatedAt.getTime() < limits.ageMs) continue;
    keptBytes -= status.offset;
    if (await remove(stores.content, { ...ctx, namespace }, status.ref)) removed++;
  }
  if (removed > 0) ctx.log.info({ removed }, 'partial downloads removed');
  return removed;
}

/** Takes the ref first, so that nobody is writing it. @returns false when somebody is, or when it is gone already */
async function remove(content: ContentStore, ctx: Context, ref: string): Promise<boolean> {
  try {
    await using _ = await content.writer(ctx, { ref });
    await content.abort(ctx, ref);
    return true;
  } catch (error) {
    if (isKind(error, 'unavailable') || isKind(error, 'not_found')) return false;
    throw error;
  }
}

async function idlePartials({ content, namespaces }: Stores, ctx: Context): Promise<Partial[]> {
  const found: Partial[] = [];
  for (const { name: namespace } of await namespaces.list(ctx))
    for (const status of await content.listStatuses({ ...ctx, namespace })) found.push({ namespace, status });
  const idleSince = Date.now() - idleMs;
  const age = ({ status }: Partial): number => status.updatedAt.getTime();
  return found.filter((partial) => age(partial) < idleSince).sort((a, b) => age(b) - age(a));
}
