import type { Context } from '../async/context.ts';
import { TaskGroup } from '../async/task-group.ts';
import { isKind } from '../errors/error.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import type { CredentialSource } from '../registry/credentials.ts';
import { resolve } from '../registry/manifests.ts';
import { RegistrySession } from '../registry/session.ts';
import { ensureBlob } from './blobs.ts';
import { RemoteDocuments, sourceOf } from './documents.ts';
import { labelNames, refKey } from './labels.ts';
import { withLease } from './lease.ts';
import type { TransferParts } from './parts.ts';
import { imageFor, type PlannedImage, planImages } from './plan.ts';
import { ProgressFeed, type Report, type TransferProgress } from './progress.ts';
import { recordImage } from './record.ts';
import { checkSpace } from './space.ts';
import { snapshotterOf, unpackImage } from './unpack.ts';

export interface PullRequest {
  /** `host/path[:tag][@digest]`, host included. */
  readonly reference: string;
  /** Name of the image record, `{digest}` standing for the digest. Default: the reference. */
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** More records of the same image, which go when the first record goes. */
  readonly extraNames?: readonly string[];
  /** Default: the daemon's own platform. */
  readonly platforms?: readonly Platform[] | 'all' | undefined;
  /** Snapshotters to unpack into ('' = default), each for one platform. Default: none. */
  readonly unpack?: readonly { readonly snapshotter: string; readonly platform: Platform }[];
  readonly allMetadata?: boolean;
  readonly credentials?: CredentialSource;
  readonly headers?: Readonly<Record<string, string>>;
  readonly hostsDir?: string | undefined;
  readonly defaultScheme?: 'https' | 'http' | undefined;
}

/**
 * Pulls an image: resolve, plan, then fetch and unpack side by side, and record the image when everything is here.
 * Yields progress and returns the first image record; leaving the iteration or `ctx.signal` cancels it. Failed or
 * cancelled, it leaves no record, no lease and no snapshot behind; downloads that were cut off go on the next time.
 * @throws invalid_argument, not_found, unauthenticated, permission_denied, unavailable, failed_precondition (wrong
 *   bytes), data_loss (wrong diff ID), resource_exhausted (disk)
 */
export async function* pull(
  parts: TransferParts,
  ctx: Context,
  request: PullRequest,
): AsyncGenerator<TransferProgress, Image, void> {
  const feed = new ProgressFeed();
  const stop = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, stop.signal]) };
  const work = pullReporting(parts, inner, request, feed.report).finally(() => feed.end());
  work.catch(() => {}); // seen below, unless the reader leaves
  try {
    yield* feed;
    return await work;
  } finally {
    stop.abort();
    await work.catch(() => {});
  }
}

/** Pulls without anybody looking. */
export async function pullQuietly(parts: TransferParts, ctx: Context, request: PullRequest): Promise<Image> {
  return pullReporting(parts, ctx, request, () => {});
}

async function pullReporting(
  parts: TransferParts,
  ctx: Context,
  request: PullRequest,
  report: Report,
): Promise<Image> {
  const reference = parseReference(request.reference);
  const name = request.name ?? formatReference(reference);
  return withLease(parts.leases, ctx, async (leased) => {
    report({ phase: 'resolving', name, offset: 0, total: 0 });
    const session = await openSession(parts, request);
    const { descriptor, bytes } = await resolve(leased, session);
    report({ phase: 'resolved', name, descriptor, offset: 0, total: 0 });
    const documents = new RemoteDocuments(parts, session, report);
    if (bytes !== undefined) documents.remember(descriptor.digest, bytes);
    const images = await planImages(documents, leased, descriptor, planOptions(parts, request, name));
    await bringHere(parts, leased, { request, name, session, images, report });
    return record(parts, leased, { ...request, name }, descriptor, report);
  });
}

function openSession(parts: TransferParts, request: PullRequest): Promise<RegistrySession> {
  const { credentials, headers, defaultScheme } = request;
  return RegistrySession.open(parseReference(request.reference), {
    connections: parts.connections,
    hostsDir: request.hostsDir ?? parts.hostsDir,
    defaultScheme,
    ...(credentials !== undefined && { credentials }),
    ...(headers !== undefined && { headers }),
  });
}

const planOptions = (parts: TransferParts, request: PullRequest, name: string) => ({
  platforms: request.platforms ?? [parts.platform],
  allMetadata: request.allMetadata ?? false,
  name,
});

interface Work {
  readonly request: PullRequest;
  readonly name: string;
  readonly session: RegistrySession;
  readonly images: readonly PlannedImage[];
  readonly report: Report;
}

/** Fetches all blobs and unpacks what is asked for; a layer is unpacked as soon as its blob is here. */
async function bringHere(parts: TransferParts, ctx: Context, work: Work): Promise<void> {
  const blobs = blobsOf(work.images);
  await preflight(parts, ctx, blobs.values(), work.name);
  const group = new TaskGroup(ctx.signal);
  const inner = { ...ctx, signal: group.signal };
  const fetched = new Map<Digest, Promise<void>>();
  for (const [digest, wanted] of blobs)
    fetched.set(
      digest,
      group.run(() => fetchOne(parts, inner, work, wanted)),
    );
  const ready = async ({ digest }: Descriptor) => fetched.get(digest);
  for (const { snapshotter, platform } of work.request.unpack ?? [])
    void group
      .run(async () => {
        const image = imageFor(work.images, platform, work.name);
        const into = snapshotterOf(parts, snapshotter);
        await unpackImage(parts, inner, { image, snapshotter: into, report: work.report, ready });
      })
      .catch(() => {}); // join throws it
  await group.join();
}

interface WantedBlob {
  readonly descriptor: Descriptor;
  readonly parent: Descriptor;
}

/** What planning has not brought already: layers, and configs that are no image's. Each digest once. */
function blobsOf(images: readonly PlannedImage[]): Map<Digest, WantedBlob> {
  const wanted = images.flatMap(({ config, document, manifest }) =>
    [...(config === undefined ? [document.config] : []), ...document.layers].map((descriptor) => ({
      descriptor,
      parent: manifest,
    })),
  );
  return new Map(wanted.map((blob) => [blob.descriptor.digest, blob]));
}

function fetchOne(parts: TransferParts, ctx: Context, work: Work, wanted: WantedBlob): Promise<void> {
  const { descriptor, parent } = wanted;
  const { reference } = work.session;
  work.report({
    phase: 'waiting',
    name: refKey(descriptor),
    descriptor,
    parent,
    offset: 0,
    total: descriptor.size,
  });
  const blob = { descriptor, parent, reference, report: work.report };
  const done = ensureBlob(parts, ctx, blob, sourceOf(work.session));
  done.catch(() => {}); // the group reports it, whether or not a layer waits for it
  return done;
}

async function preflight(
  parts: TransferParts,
  ctx: Context,
  blobs: Iterable<WantedBlob>,
  name: string,
): Promise<void> {
  if (parts.contentRoot === undefined) return;
  let neededBytes = 0;
  for (const { descriptor } of blobs)
    if (!(await isHere(parts, ctx, descriptor.digest))) neededBytes += descriptor.size;
  await checkSpace(parts.contentRoot, neededBytes, name);
}

async function isHere(parts: TransferParts, ctx: Context, digest: Digest): Promise<boolean> {
  try {
    await parts.content.info(ctx, digest);
    return true;
  } catch (error) {
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

async function record(
  parts: TransferParts,
  ctx: Context,
  { name, labels = {}, extraNames = [] }: PullRequest & { readonly name: string },
  target: Descriptor,
  report: Report,
): Promise<Image> {
  const withDigest = (text: string) => text.replaceAll('{digest}', target.digest);
  const image = await recordImage(parts.images, ctx, { name: withDigest(name), labels, target });
  report({ phase: 'saved', name: image.name, descriptor: target, offset: 0, total: 0 });
  const expire = new Date().toISOString();
  for (const extra of extraNames) {
    const more = { ...labels, [labelNames.imageBackReference]: image.name, [labelNames.expire]: expire };
    const extraName = withDigest(extra);
    await recordImage(parts.images, ctx, { name: extraName, labels: more, target });
    report({ phase: 'saved', name: extraName, descriptor: target, offset: 0, total: 0 });
  }
  report({ phase: 'done', name, offset: 0, total: 0 });
  return image;
}
