import { type Context, namespaceOf } from '../async/context.ts';
import type { ContentStore } from '../content/store.ts';
import { failedPrecondition, isKind, permissionDenied, unavailable } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import type { Reference } from '../oci/reference.ts';
import type { BlobFile } from '../registry/blobs.ts';
import { download } from './download.ts';
import type { GrowingBlob } from './growing-blob.ts';
import { refKey, sourceLabel } from './labels.ts';
import type { TransferParts } from './parts.ts';
import type { Customer } from './progress.ts';

type Labels = Readonly<Record<string, string>>;
/** Streams the bytes of a blob from `offset`, those it does not put into `file` by itself. */
export interface Source {
  (ctx: Context, descriptor: Descriptor, offset: number, file?: BlobFile): AsyncIterable<Uint8Array>;
  /** For bytes that were wrong: whether the source can get them in another way, which it then will. */
  readonly doubt?: (descriptor: Descriptor) => boolean;
  /** For bytes that are here, but not from it: whether it would give them. */
  readonly offers?: (ctx: Context, descriptor: Descriptor) => Promise<boolean>;
}

/** A blob to bring here: what it is, what it is called and on whose behalf. */
export interface Wanted {
  readonly descriptor: Descriptor;
  readonly reference: Reference;
  readonly parent?: Descriptor | undefined;
  readonly labels?: Labels;
  readonly customer: Customer;
  /** Told where the bytes go while they come, if that is a file here; more than once. */
  readonly onGrowing?: (blob: GrowingBlob) => void;
}

/** What all who wait for one blob are told. */
export interface BlobStep {
  readonly phase: 'downloading';
  readonly offset: number;
  readonly growing: GrowingBlob | undefined;
}

/**
 * Makes sure a blob is in the content store, verified, leased and labelled. However many callers want it, in whatever
 * namespaces, it is downloaded once; one that goes away leaves the download to the others, and what was cut off goes on
 * where it stopped. Where another namespace has the bytes they only get a name in this one, unless content is isolated.
 * @throws failed_precondition (wrong size or digest; the bad bytes are dropped), and what the source throws
 */
export async function ensureBlob(
  parts: TransferParts,
  ctx: Context,
  wanted: Wanted,
  source: Source,
): Promise<void> {
  const { digest, size } = wanted.descriptor;
  const own = `${namespaceOf(ctx)} ${digest}`;
  if (await isHere(parts, ctx, wanted, source)) return say(wanted, 'exists', size);
  for (const key of parts.isolated ? [own] : [digest, own]) {
    const mine = await fly(parts, ctx, wanted, source, key);
    if (mine || (await isHere(parts, ctx, wanted, source))) return say(wanted, 'complete', size);
  }
  throw unavailable(`blob ${digest}: was removed as soon as it was here`);
}

/** Joins a download or starts one; true when this caller's own it was, so that nothing is left to note down. */
async function fly(
  parts: TransferParts,
  ctx: Context,
  wanted: Wanted,
  source: Source,
  key: string,
): Promise<boolean> {
  const tell = ({ phase, offset, growing }: BlobStep) => {
    if (growing !== undefined) wanted.onGrowing?.(growing);
    say(wanted, phase, offset);
  };
  for (let tries = 1; ; tries++) {
    let mine = false;
    try {
      await parts.flights.join(key, ctx.signal, tell, (signal, tellAll) => {
        mine = true;
        const allowed = () => allow(ctx, wanted, source);
        return download(parts, { ...ctx, signal }, wanted, source, { tell: tellAll, allowed });
      });
      return mine;
    } catch (error) {
      ctx.signal.throwIfAborted();
      if (mine || !mayFareBetter(error, tries)) throw error;
    }
  }
}

/** The one that failed may have asked another registry, or as somebody else. */
const mayFareBetter = (error: unknown, tries: number): boolean =>
  tries < 2 || isKind(error, 'unauthenticated') || isKind(error, 'permission_denied');

function say(
  { descriptor, parent, customer }: Wanted,
  phase: 'exists' | 'downloading' | 'complete',
  offset: number,
): void {
  const name = refKey(descriptor);
  customer.report({ phase, name, descriptor, parent, offset, total: descriptor.size });
}

/** Leases a blob before looking, so that it cannot go between the look and the use; adds missing labels. */
async function isHere(parts: TransferParts, ctx: Context, wanted: Wanted, source: Source): Promise<boolean> {
  const { digest, size } = wanted.descriptor;
  try {
    if (ctx.lease !== undefined)
      await parts.leases.addResource(ctx, ctx.lease, { id: digest, type: 'content' });
    const info = await parts.content.info(ctx, digest);
    if (info.sizeBytes !== size)
      throw failedPrecondition(`${digest}: has ${info.sizeBytes} bytes, described with ${size}`);
    const from = sourceLabel(wanted.reference, info.labels);
    if (from !== undefined) await allow(ctx, wanted, source);
    const labels = { ...wanted.labels, ...from };
    const missing = Object.entries(labels).filter(([key, value]) => info.labels[key] !== value);
    await addLabels(parts.content, ctx, digest, Object.fromEntries(missing));
    return true;
  } catch (error) {
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

/**
 * What came from another repository, or another client, is not this one's to have unless its registry says so.
 * @throws permission_denied
 */
async function allow(ctx: Context, { descriptor, reference }: Wanted, { offers }: Source): Promise<void> {
  if (offers === undefined || (await offers(ctx, descriptor))) return;
  throw permissionDenied(
    `${descriptor.digest}: is here, but ${reference.domain}/${reference.path} has it not`,
  );
}

/** Sets labels one by one and leaves the others alone. @throws not_found */
export async function addLabels(
  content: ContentStore,
  ctx: Context,
  digest: Digest,
  labels: Labels,
): Promise<void> {
  const paths = Object.keys(labels).map((key) => `labels.${key}`);
  if (paths.length > 0) await content.update(ctx, { digest, labels }, paths);
}

/** All bytes of a small blob that is here. @throws not_found, resource_exhausted */
export async function readBlob(
  content: ContentStore,
  ctx: Context,
  descriptor: Descriptor,
  limitBytes: number,
): Promise<Uint8Array> {
  await using reader = await content.reader(ctx, descriptor.digest);
  return reader.bytes(limitBytes);
}

/** Notes on a layer what it unpacks to; Docker looks this up. */
export const labelUncompressed = (content: ContentStore, ctx: Context, digest: Digest, diffId: string) =>
  addLabels(content, ctx, digest, { [labelNames.uncompressed]: diffId });
