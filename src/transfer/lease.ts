import { cleanUp } from '../async/cleanup.ts';
import type { Context } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import type { LeaseStore } from '../metadata/lease-store.ts';
import type { NamespaceStore } from '../metadata/namespace-store.ts';
import { labelNames } from '../oci/label-names.ts';

/** Marks the leases that are made here, so that a later daemon knows them. */
const ownLease = 'io.berth.transfer';
const lifetimeMs = 24 * 60 * 60 * 1000;

/**
 * Runs `work` under a lease, so that nothing it makes is garbage before something refers to it. A lease that the caller
 * brought is used and left alone; else one is made (24 h at most) and deleted whatever happens.
 */
export async function withLease<T>(
  leases: LeaseStore,
  ctx: Context,
  work: (ctx: Context & { readonly lease: string }) => Promise<T>,
): Promise<T> {
  if (ctx.lease !== undefined && ctx.lease !== '') return work({ ...ctx, lease: ctx.lease });
  const expire = new Date(Date.now() + lifetimeMs).toISOString();
  const { id } = await leases.create(ctx, { labels: { [labelNames.expire]: expire, [ownLease]: 'true' } });
  try {
    return await work({ ...ctx, lease: id });
  } finally {
    await undo(ctx, 'delete lease', (late) => leases.delete(late, id));
  }
}

/** Undoes something on its own deadline, cancelled or not; what is gone already is fine. Never throws. */
export async function undo(
  ctx: Context,
  what: string,
  action: (ctx: Context) => Promise<unknown>,
): Promise<void> {
  await cleanUp(ctx, what, async (late) => {
    try {
      await action(late);
    } catch (error) {
      if (!isKind(error, 'not_found')) throw error;
    }
  });
}

/**
 * Deletes the leases of transfers that died with an earlier daemon, so that what they had half unpacked is garbage.
 * Downloads that were cut off stay. Call it once at start, before anything is served.
 */
export async function dropStaleLeases(
  { leases, namespaces }: { readonly leases: LeaseStore; readonly namespaces: NamespaceStore },
  ctx: Context,
): Promise<void> {
  for (const { name } of await namespaces.list(ctx)) {
    const inside = { ...ctx, namespace: name };
    const stale = await leases.list(inside, [`labels."${ownLease}"`]);
    for (const { id } of stale) await undo(inside, 'delete stale lease', (late) => leases.delete(late, id));
  }
}
