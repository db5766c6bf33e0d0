import type { Context } from '../async/context.ts';
import { inSpan } from '../async/span.ts';
import { TaskGroup } from '../async/task-group.ts';
import { invalidArgument } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import { withDefaultTag } from '../oci/reference.ts';
import { existsAt } from '../registry/exists.ts';
import { pushBlob } from '../registry/push-blob.ts';
import { pushManifest } from '../registry/push-manifest.ts';
import type { RegistrySession } from '../registry/session.ts';
import { type DeliveryPlan, type Document, planDelivery } from './delivery-plan.ts';
import { refKey } from './labels.ts';
import type { Origin } from './origin.ts';
import type { TransferParts } from './parts.ts';
import { type Report, throttled } from './progress.ts';

/** Content to bring to a registry, and from where. */
export interface Delivery {
  readonly name: string;
  readonly target: Descriptor;
  readonly origin: Origin;
  /** Opened for `pull,push`. */
  readonly session: RegistrySession;
  readonly platforms: readonly Platform[] | 'all';
  readonly report: Report;
}

/**
 * Brings an image to the session's repository: its blobs side by side, then its manifests, at last what the tag names.
 * What is there already stays there. Cut off at any point, it leaves no tag that names something incomplete.
 * @returns what the tag now names @throws as {@link planDelivery}, pushBlob and pushManifest
 */
export async function deliver(parts: TransferParts, ctx: Context, delivery: Delivery): Promise<Descriptor> {
  const { name, target, origin, session, report } = delivery;
  report({ phase: 'pushing', name, descriptor: target, offset: 0, total: 0 });
  const isThere = (inner: Context, descriptor: Descriptor) =>
    existsAt(inner, session, session.pushHost, descriptor, undefined, session.retry);
  const plan = await planDelivery(ctx, origin, { ...delivery, isThere });
  const root = rootOf(plan, session);
  await deliverBlobs(parts, ctx, delivery, plan);
  for (const document of plan.documents) await deliverDocument(ctx, delivery, document, root);
  report({ phase: 'pushed', name, descriptor: root.descriptor, offset: 0, total: 0 });
  return root.descriptor;
}

/** What the reference is going to name. @throws invalid_argument when it says another digest */
function rootOf({ documents }: DeliveryPlan, { reference }: RegistrySession): Document {
  const root = documents.at(-1);
  if (root === undefined) throw invalidArgument('nothing to deliver');
  if (reference.digest === undefined || reference.digest === root.descriptor.digest) return root;
  throw invalidArgument(`cannot push ${root.descriptor.digest} as ${reference.digest}`);
}

async function deliverBlobs(
  parts: TransferParts,
  ctx: Context,
  delivery: Delivery,
  { blobs }: DeliveryPlan,
): Promise<void> {
  const group = new TaskGroup(ctx.signal);
  const inner = { ...ctx, signal: group.signal };
  for (const { descriptor, parent } of blobs)
    group.run(() => deliverBlob(parts, inner, delivery, descriptor, parent)).catch(() => {}); // join throws it
  await group.join();
}

async function deliverBlob(
  parts: TransferParts,
  ctx: Context,
  { origin, session, report }: Delivery,
  descriptor: Descriptor,
  parent: Descriptor,
): Promise<void> {
  const about = { name: refKey(descriptor), descriptor, parent, total: descriptor.size };
  report({ ...about, phase: 'waiting', offset: 0 });
  using _ = await parts.uploads.acquire(ctx.signal);
  const mountFrom = await origin.mountFrom(ctx, descriptor, session.reference);
  const pushed = await inSpan(ctx, 'upload', attributesOf(descriptor), (inner) =>
    pushBlob(inner, session, {
      descriptor,
      read: (offset, end) => origin.read(inner, descriptor, offset, end),
      mountFrom,
      report: throttled((offset) => report({ ...about, phase: 'uploading', offset })),
    }),
  );
  await origin.delivered(ctx, descriptor, session.reference);
  const phase = ({ exists: 'exists', mounted: 'mounted', uploaded: 'complete' } as const)[pushed];
  report({ ...about, phase, offset: descriptor.size });
}

async function deliverDocument(
  ctx: Context,
  { origin, session, report }: Delivery,
  { descriptor, bytes, document }: Document,
  root: Document,
): Promise<void> {
  const about = { name: refKey(descriptor), descriptor, total: descriptor.size };
  report({ ...about, phase: 'uploading', offset: 0 });
  const tag = descriptor === root.descriptor ? withDefaultTag(session.reference).tag : undefined;
  const how = await inSpan(ctx, 'upload', attributesOf(descriptor), (inner) =>
    pushManifest(inner, session, { descriptor, bytes, tag, subject: document.subject }),
  );
  await origin.delivered(ctx, descriptor, session.reference);
  report({ ...about, phase: how === 'exists' ? 'exists' : 'complete', offset: descriptor.size });
}

const attributesOf = ({ digest, size }: Descriptor) => ({ digest, size });
