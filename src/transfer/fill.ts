import { setTimeout as sleep } from 'node:timers/promises';
import { abortable } from '../async/abortable.ts';
import type { Context } from '../async/context.ts';
import { linkSignals } from '../async/deadline.ts';
import { dataLoss, wrap } from '../errors/error.ts';
import { forRebase } from '../layers/target.ts';
import type { Digest } from '../oci/digest.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { Differ } from './differ.ts';
import type { Follower, GrowingBlob } from './growing-blob.ts';
import { refKey } from './labels.ts';
import type { TransferParts } from './parts.ts';
import { type Arrival, type Layer, rebases, type UnpackJob } from './unpack-job.ts';
import { type LayerToWrite, type WrittenLayer, writeLayer } from './write-layer.ts';

/** A blob that comes faster than this is applied once it is whole: two cores do both at a time more slowly than one after the other. */
const followAfterMs = 2_000;

interface Filled extends AsyncDisposable {
  /** Absent: nothing is left to do before the commit. */
  readonly applied?: WrittenLayer;
}

interface Work {
  readonly request: UnpackJob;
  readonly layer: Layer;
  readonly mounts: readonly Mount[];
  readonly arrival: Arrival;
}

/**
 * Puts a layer into its snapshot: as the file that another namespace has of it, else by applying it, where possible while
 * its blob is still coming. Who comes while another applies it waits until that is committed, and applies it only where
 * nothing came of that. Nobody waits for a namespace that is none of its business.
 * @returns undefined when the download began again behind what was applied: the snapshot is of no use
 */
export async function fill(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  { key, mounts }: { readonly key: string; readonly mounts: readonly Mount[] },
): Promise<Filled | undefined> {
  const { snapshotter, differ } = request;
  const { chainId, descriptor } = layer;
  const blob = descriptor.digest;
  await using stack = new AsyncDisposableStack();
  const arrival = request.bring(descriptor);
  const work = { request, layer, mounts, arrival };
  if (differ !== undefined) return await applyElsewhere(parts, ctx, work, differ);
  // Where content is isolated the bytes are brought once more, though another's layer file may be there in the end.
  const growing = parts.isolated ? undefined : await abortable(growingOf(arrival), ctx.signal);
  if (snapshotter.share !== undefined && !parts.isolated)
    stack.use(await parts.locks.acquire(`${snapshotter.name} ${chainId} ${blob}`, ctx.signal));
  const turn = growing && (await turnBefore(parts, ctx, work));
  const follower = turn && stack.use(growing.follow(ctx.signal));
  let applied = turn && stack.use(await applyAhead(parts, ctx, work, { turn, follower }));
  await abortable(arrival.whole, ctx.signal);
  if (follower?.misled) return undefined;
  if (applied === undefined && !(await snapshotter.share?.(ctx, key, { chainId, blob })))
    applied = stack.use(await applyWhole(parts, ctx, work));
  say(work, 'extracted', descriptor.size);
  const held = stack.move();
  return { ...(applied && { applied }), [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Undefined once it is whole. */
const growingOf = ({ whole, growing }: Arrival): Promise<GrowingBlob | undefined> =>
  Promise.race([whole.then(() => undefined), ...(growing === undefined ? [] : [growing])]);

/** A place to work on a blob while it comes slowly; undefined when it is whole before there is one. */
async function turnBefore(
  parts: TransferParts,
  ctx: Context,
  { request, arrival }: Work,
): Promise<Disposable | undefined> {
  using waiting = linkSignals(ctx.signal);
  const tooLate = () => waiting.abort(undefined);
  arrival.whole.then(tooLate, tooLate);
  try {
    await sleep(followAfterMs, undefined, { signal: waiting.signal });
    return await parts.follows.acquire(request.customer.id, waiting.signal);
  } catch {
    ctx.signal.throwIfAborted();
    return undefined;
  }
}

/** Undefined when the blob was whole already, or the download began again. */
async function applyAhead(
  parts: TransferParts,
  ctx: Context,
  work: Work,
  { turn, follower }: { readonly turn: Disposable; readonly follower: Follower | undefined },
): Promise<WrittenLayer | undefined> {
  using _ = turn;
  if (follower === undefined) return undefined;
  try {
    return await apply(parts, ctx, work, follower.source);
  } catch (error) {
    await abortable(work.arrival.whole, ctx.signal); // what is wrong with the blob says more
    if (follower.misled) return undefined;
    throw error;
  }
}

async function applyWhole(parts: TransferParts, ctx: Context, work: Work): Promise<WrittenLayer> {
  const { request, layer } = work;
  using _ = await parts.unpacks.acquire(request.customer.id, ctx.signal);
  await using reader = await parts.content.reader(ctx, layer.descriptor.digest);
  return await apply(parts, ctx, work, reader);
}

async function apply(
  parts: TransferParts,
  ctx: Context,
  work: Work,
  from: LayerToWrite['from'],
): Promise<WrittenLayer> {
  const { request, layer, mounts } = work;
  const { digest, mediaType } = layer.descriptor;
  // All but the base layer are prepared without their parent: what they delete is written down, not carried out.
  const to = layer.parent === '' || !rebases(request) ? mounts : forRebase(mounts);
  const wanted = { from, mediaType, mounts: to, onProgress: onceWhole(work), signal: ctx.signal };
  const write = () => writeLayer(parts.applyTarget, wanted);
  await using stack = new AsyncDisposableStack();
  const written = stack.use(await applyOrExplain(ctx, digest, write));
  mustBe(layer, written.diffId);
  stack.move();
  return written;
}

/** Another differ applies it onto its parent, whose mounts it is given. What it says must be what the image says. */
async function applyElsewhere(
  parts: TransferParts,
  ctx: Context,
  work: Work,
  differ: Differ,
): Promise<Filled> {
  const { request, layer, mounts, arrival } = work;
  const { descriptor } = layer;
  await abortable(arrival.whole, ctx.signal);
  using _ = await parts.unpacks.acquire(request.customer.id, ctx.signal);
  say(work, 'extracting', 0);
  const wanted = { layer: descriptor, mounts, sync: false };
  const { digest } = await applyOrExplain(ctx, descriptor.digest, () => differ.apply(ctx, wanted));
  mustBe(layer, digest);
  say(work, 'extracted', descriptor.size);
  return { [Symbol.asyncDispose]: async () => {} };
}

/** @throws data_loss */
function mustBe({ diffId, descriptor }: Layer, found: string): void {
  if (found === diffId) return;
  throw dataLoss(`wrong diff id ${found} calculated on extraction ${diffId}, layer ${descriptor.digest}`);
}

/** A layer is told to be extracted when its blob is there, not before; until then its bytes are those that come. */
function onceWhole(work: Work): (readBytes: number) => void {
  let offset = 0;
  let isWhole = false;
  const begin = () => {
    isWhole = true;
    say(work, 'extracting', offset);
  };
  work.arrival.whole.then(begin, () => {});
  return (readBytes) => {
    offset = Math.min(readBytes, work.layer.descriptor.size);
    if (isWhole) say(work, 'extracting', offset);
  };
}

function say({ request, layer }: Work, phase: 'extracting' | 'extracted', offset: number): void {
  const { descriptor, manifest } = layer;
  const name = refKey(descriptor);
  request.customer.report({ phase, name, descriptor, parent: manifest, offset, total: descriptor.size });
}

async function applyOrExplain<T>(ctx: Context, digest: Digest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    ctx.signal.throwIfAborted();
    throw wrap(error, `failed to extract layer ${digest}`);
  }
}
