import type { Context } from '../async/context.ts';
import { inSpan } from '../async/span.ts';
import { wrap } from '../errors/error.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { labelNames } from '../oci/label-names.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { resolve } from '../registry/manifests.ts';
import { bringHere } from './bring-here.ts';
import { RemoteDocuments } from './documents.ts';
import { withLease } from './lease.ts';
import type { TransferParts } from './parts.ts';
import { planImages } from './plan.ts';
import type { Report, TransferProgress } from './progress.ts';
import { recordImage } from './record.ts';
import { openSession, type RegistryEndpoint } from './registry-endpoint.ts';
import { reporting } from './reporting.ts';

/** What to pull and what to do with it. */
export interface PullRequest extends RegistryEndpoint {
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
  /** Most manifests to take of an index; 0: any number. Default 0. */
  readonly manifestLimit?: number;
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
  const { reference, unpack = [] } = request;
  const subject = { verb: 'pull', name: reference, unpacks: unpack.length > 0 } as const;
  return yield* reporting(parts, ctx, subject, (inner, report) =>
    pullReporting(parts, inner, request, report),
  );
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
    const session = await openSession(parts, request, { actions: 'pull', report });
    const { descriptor, bytes } = await inSpan(leased, 'resolve', { reference: name }, (ctx) =>
      resolve(ctx, session).catch((error) => {
        throw wrap(error, 'failed to resolve image');
      }),
    );
    report({ phase: 'resolved', name, descriptor, offset: 0, total: 0 });
    const customer = { id: leased.lease, report };
    const documents = new RemoteDocuments(parts, session, customer);
    if (bytes !== undefined) documents.remember(descriptor.digest, bytes);
    const plan = await planImages(documents, leased, descriptor, planOptions(parts, request, name));
    await bringHere(parts, leased, {
      plan,
      name,
      session,
      customer,
      unpack: request.unpack ?? [],
      allMetadata: request.allMetadata ?? false,
    });
    return record(parts, leased, { ...request, name }, descriptor, report);
  });
}

const planOptions = (parts: TransferParts, request: PullRequest, name: string) => ({
  platforms: request.platforms ?? [parts.platform],
  limit: request.manifestLimit,
  partsAlone: (request.unpack ?? []).length === 0,
  name,
});

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
