import { randomBytes } from 'node:crypto';
import { abortable } from '../async/abortable.ts';
import { type Context, namespaceOf } from '../async/context.ts';
import { dataLoss, isKind, wrap } from '../errors/error.ts';
import { forRebase } from '../layers/target.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ChainId, DiffId, Digest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { labelUncompressed } from './blobs.ts';
import type { Differ } from './differ.ts';
import { finish } from './finish.ts';
import { refKey } from './labels.ts';
import { undo } from './lease.ts';
import type { TransferParts } from './parts.ts';
import type { PlannedImage } from './planned-image.ts';
import type { Customer } from './progress.ts';
import { remoteLabels } from './remote-snapshotters.ts';
import { type WrittenLayer, writeLayer } from './write-layer.ts';

export interface UnpackRequest {
  readonly image: PlannedImage;
  readonly snapshotter: Snapshotter;
  readonly customer: Customer;
  /** Where the image comes from; a remote snapshotter fetches from there by itself. */
  readonly reference?: string;
  /** Resolves when the blob of a layer is in the content store; asks for it where nobody has yet. */
  readonly ready: (layer: Descriptor) => Promise<void>;
}

export interface UnpackJob extends UnpackRequest {
  /** What applies the layers, if not Berth itself. */
  readonly differ: Differ | undefined;
}

/** One layer of an image, and where it stands in the stack. */
export interface Layer {
  readonly descriptor: Descriptor;
  readonly manifest: Descriptor;
  readonly diffId: DiffId;
  readonly chainId: ChainId;
  /** Chain ID of the layer below, '' for the base. */
  readonly parent: string;
}

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

/** A layer's files in a snapshot that is not committed yet. Disposing removes what was not committed. */
export interface Extracted extends AsyncDisposable {
  commit(ctx: Context, layer: Layer): Promise<void>;
}

/** Can it take layers all at once, each in a snapshot without a parent, or must one be committed before the next? */
export const rebases = ({ snapshotter: { capabilities = [] }, differ }: UnpackJob): boolean =>
  differ === undefined && capabilities.includes('rebase');

/**
 * Unpacks one layer, unless its snapshot is there by now: into a parentless snapshot of its own where the snapshotter
 * can rebase, else onto its parent. Holds the lock of its chain ID until disposed. @throws data_loss (another diff ID), invalid_argument (malformed layer)
 */
export async function extract(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
): Promise<Extracted> {
  const { snapshotter } = request;
  await using stack = new AsyncDisposableStack();
  stack.use(
    await parts.locks.acquire(`${snapshotter.name} ${namespaceOf(ctx)} ${layer.chainId}`, ctx.signal),
  );
  if (await isCommitted(parts, ctx, snapshotter, layer.chainId)) return finished(stack.move());
  const key = `extract-${Date.now()}-${randomBytes(3).toString('base64url')} ${layer.chainId}`;
  const labels = { ...remoteLabels(parts, request, layer), [labelNames.snapshotRef]: layer.chainId };
  const mounts = await prepare(parts, ctx, request, layer, key, labels);
  if (mounts === undefined) return finished(stack.move());
  let committed = false;
  stack.defer(() =>
    committed ? undefined : undo(ctx, 'remove snapshot', (late) => snapshotter.remove(late, key)),
  );
  await abortable(request.ready(layer.descriptor), ctx.signal);
  const written = stack.use(await fill(parts, ctx, request, layer, { key, mounts }));
  const held = stack.move();
  return {
    async commit(at) {
      if (written.applied !== undefined) await finish(at, snapshotter, layer, written.applied);
      committed = await commit(parts, at, request, layer, key, labels);
      await held.disposeAsync();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

const finished = (held: AsyncDisposableStack): Extracted => ({
  commit: () => held.disposeAsync(),
  [Symbol.asyncDispose]: () => held.disposeAsync(),
});

/** Mounts of a new snapshot; undefined when the snapshotter says it has the layer already (a remote snapshotter does). */
async function prepare(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  key: string,
  labels: Record<string, string>,
) {
  const { snapshotter } = request;
  try {
    return await snapshotter.prepare(ctx, key, rebases(request) ? '' : layer.parent, labels);
  } catch (error) {
    const skip =
      isKind(error, 'already_exists') && (await isCommitted(parts, ctx, snapshotter, layer.chainId));
    if (skip) return undefined;
    throw error;
  }
}

interface Filled extends AsyncDisposable {
  /** Absent: nothing is left to do before the commit. */
  readonly applied?: WrittenLayer;
}

/**
 * Puts a layer whose blob is here into its snapshot: as the file that another namespace has of it, else by applying it.
 * Who comes while another applies it waits until that is committed, and applies it only where nothing came of that.
 * Nobody waits for a namespace that is none of its business.
 */
async function fill(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  { key, mounts }: { readonly key: string; readonly mounts: readonly Mount[] },
): Promise<Filled> {
  const { snapshotter, customer, differ } = request;
  const { chainId, descriptor } = layer;
  if (differ !== undefined) return applyElsewhere(parts, ctx, request, differ, { layer, mounts });
  await using stack = new AsyncDisposableStack();
  if (snapshotter.share !== undefined && !parts.isolated)
    stack.use(await parts.locks.acquire(`${snapshotter.name} ${chainId} ${descriptor.digest}`, ctx.signal));
  const shared = await snapshotter.share?.(ctx, key, { chainId, blob: descriptor.digest });
  if (shared) say(customer, layer, 'extracted', descriptor.size);
  const applied = shared ? undefined : stack.use(await apply(parts, ctx, request, layer, mounts));
  const held = stack.move();
  return { ...(applied && { applied }), [Symbol.asyncDispose]: () => held.disposeAsync() };
}

function say(
  customer: Customer,
  { descriptor, manifest }: Layer,
  phase: 'extracting' | 'extracted',
  offset: number,
): void {
  const name = refKey(descriptor);
  customer.report({ phase, name, descriptor, parent: manifest, offset, total: descriptor.size });
}

async function apply(
  parts: TransferParts,
  ctx: Context,
  request: UnpackJob,
  layer: Layer,
  mounts: readonly Mount[],
): Promise<WrittenLayer> {
  const { customer } = request;
  const { descriptor } = layer;
  using _ = await parts.unpacks.acquire(customer.id, ctx.signal);
  const tell = (phase: 'extracting' | 'extracted', offset: number) => say(customer, layer, phase, offset);
  tell('extracting', 0);
  await using reader = await parts.content.reader(ctx, descriptor.digest);
  const { path } = reader;
  // All but the base layer are prepared without their parent: what they delete is written down, not carried out.
  const to = layer.parent === '' || !rebases(request) ? mounts : forRebase(mounts);
  await using stack = new AsyncDisposableStack();
  const onProgress = (readBytes: number) => tell('extracting', Math.min(readBytes, descriptor.size));
  const wanted = {
    source: () => (path === undefined ? reader.stream() : { path }),
    mediaType: descriptor.mediaType,
    mounts: to,
    onProgress,
  };
  const written = stack.use(
    await applyOrExplain(ctx, descriptor.digest, () => writeLayer(parts.applyTarget, wanted)),
  );
  mustBe(layer, written.diffId);
  tell('extracted', descriptor.size);
  stack.move();
  return written;
}

/** Another differ applies it onto its parent, whose mounts it is given. What it says must be what the image says. */
async function applyElsewhere(
  parts: TransferParts,
  ctx: Context,
  { customer }: UnpackJob,
  differ: Differ,
  { layer, mounts }: { readonly layer: Layer; readonly mounts: readonly Mount[] },
): Promise<Filled> {
  const { descriptor } = layer;
  using _ = await parts.unpacks.acquire(customer.id, ctx.signal);
  say(customer, layer, 'extracting', 0);
  const wanted = { layer: descriptor, mounts, sync: false };
  const { digest } = await applyOrExplain(ctx, descriptor.digest, () => differ.apply(ctx, wanted));
  mustBe(layer, digest);
  say(customer, layer, 'extracted', descriptor.size);
  return { [Symbol.asyncDispose]: async () => {} };
}

/** @throws data_loss */
function mustBe({ diffId, descriptor }: Layer, found: string): void {
  if (found === diffId) return;
  throw dataLoss(`wrong diff id ${found} calculated on extraction ${diffId}, layer ${descriptor.digest}`);
}

async function applyOrExplain<T>(ctx: Context, digest: Digest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    ctx.signal.throwIfAborted();
    throw wrap(error, `failed to extract layer ${digest}`);
  }
}

/** True when `key` became the snapshot; false when somebody else's was there first. */
async function commit(
  parts: TransferParts,
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
  } catch (error) {
    if (isKind(error, 'already_exists')) return false;
    throw error;
  }
  await labelUncompressed(parts.content, ctx, layer.descriptor.digest, layer.diffId);
  return true;
}
