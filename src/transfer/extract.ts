import { randomBytes } from 'node:crypto';
import { type Context, namespaceOf } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import type { ChainId } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { labelUncompressed } from './blobs.ts';
import { fill } from './fill.ts';
import { finish } from './finish.ts';
import { undo } from './lease.ts';
import type { TransferParts } from './parts.ts';
import { remoteLabels } from './remote-snapshotters.ts';
import { type Layer, rebases, type UnpackJob } from './unpack-job.ts';

/** Leases a snapshot before looking, so that it cannot go between the look and the use. */
export async function isCommitted(
  parts: TransferParts,
  ctx: Context,
  snapshotter: Snapshotter,
  chainId: ChainId,
): Promise<boolean> {
  try {
    if (ctx.lease !== undefined)
      await parts.leases.addResource(ctx, ctx.lease, { id: chainId, type: `snapshots/${snapshotter.name}` });
    return (await snapshotter.stat(ctx, chainId)).kind === 'committed';
  } catch (error) {
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

/** A layer's files in a snapshot that is not committed yet. Disposing removes what was not committed, and what helped. */
export interface Extracted extends AsyncDisposable {
  commit(ctx: Context): Promise<void>;
}

/** Has the snapshot of that key made in a context whose lease holds it. */
export type Hold = <T>(key: string, prepare: (ctx: Context) => Promise<T>) => Promise<T>;

/**
 * Unpacks one layer, unless its snapshot is there by now: into a parentless snapshot of its own where the snapshotter
 * can rebase, else onto its parent. Holds the lock of its chain ID until disposed. @throws data_loss (another diff ID), invalid_argument (malformed layer)
 */
export async function extract(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  hold: Hold,
): Promise<Extracted> {
  const { snapshotter } = request;
  await using stack = new AsyncDisposableStack();
  stack.use(
    await parts.locks.acquire(`${snapshotter.name} ${namespaceOf(ctx)} ${layer.chainId}`, ctx.signal),
  );
  if (await isCommitted(parts, ctx, snapshotter, layer.chainId)) return finished(stack.move());
  for (;;) {
    const extracted = await intoSnapshot(parts, ctx, request, layer, hold);
    if (extracted === undefined) continue;
    stack.use(extracted);
    const held = stack.move();
    return {
      commit: extracted.commit,
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }
}

/** Into a new snapshot; undefined when that came to nothing, since what was applied is not what came in the end. */
async function intoSnapshot(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  hold: Hold,
): Promise<Extracted | undefined> {
  const { snapshotter } = request;
  await using stack = new AsyncDisposableStack();
  const key = `extract-${Date.now()}-${randomBytes(3).toString('base64url')} ${layer.chainId}`;
  const labels = { ...remoteLabels(parts, request, layer), [labelNames.snapshotRef]: layer.chainId };
  const { parent } = layer;
  const mounts = await preparedOr(parts, ctx, request, layer, () =>
    hold(key, (leased) => snapshotter.prepare(leased, key, rebases(request) ? '' : parent, labels)),
  );
  if (mounts === undefined) return finished(stack.move());
  let committed = false;
  stack.defer(() =>
    committed ? undefined : undo(ctx, 'remove snapshot', (late) => snapshotter.remove(late, key)),
  );
  const filled = await fill(parts, ctx, request, layer, { key, mounts });
  if (filled === undefined) return undefined;
  stack.use(filled);
  await labelUncompressed(parts.content, ctx, layer.descriptor.digest, layer.diffId);
  const held = stack.move();
  return {
    async commit(at) {
      if (filled.applied !== undefined) held.use(await finish(at, snapshotter, layer, filled.applied));
      committed = await commit(at, request, layer, key, labels);
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

const finished = (held: AsyncDisposableStack): Extracted => ({
  commit: async () => {},
  [Symbol.asyncDispose]: () => held.disposeAsync(),
});

/** Mounts of a new snapshot; undefined when the snapshotter says it has the layer already (a remote snapshotter does). */
async function preparedOr(
  parts: TransferParts,
  ctx: Context,
  { snapshotter }: UnpackJob,
  layer: Layer,
  prepare: () => Promise<Mount[]>,
): Promise<Mount[] | undefined> {
  try {
    return await prepare();
  } catch (error) {
    const skip =
      isKind(error, 'already_exists') && (await isCommitted(parts, ctx, snapshotter, layer.chainId));
    if (skip) return undefined;
    throw error;
  }
}

/** True when `key` became the snapshot; false when somebody else's was there first. */
async function commit(
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  key: string,
  labels: Record<string, string>,
): Promise<boolean> {
  try {
    const blob = request.differ === undefined ? layer.descriptor.digest : undefined;
    const options = rebases(request) ? { parent: layer.parent, blob } : { blob };
    await request.snapshotter.commit(ctx, layer.chainId, key, labels, options);
    return true;
  } catch (error) {
    if (isKind(error, 'already_exists')) return false;
    throw error;
  }
}
