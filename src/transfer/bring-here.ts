import type { Context } from '../async/context.ts';
import { inSpan } from '../async/span.ts';
import { TaskGroup } from '../async/task-group.ts';
import { isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isLayerType } from '../oci/media-types.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference } from '../oci/reference.ts';
import type { RegistrySession } from '../registry/session.ts';
import { ensureBlob, type Wanted } from './blobs.ts';
import type { Incoming, Reservation } from './disk-space.ts';
import { sourceOf } from './documents.ts';
import type { GrowingBlob } from './growing-blob.ts';
import { refKey } from './labels.ts';
import type { TransferParts } from './parts.ts';
import type { Plan } from './plan.ts';
import { type ChildBlob, imageFor } from './planned-image.ts';
import type { Customer } from './progress.ts';
import { fetchedLater } from './remote-snapshotters.ts';
import { snapshotterOf, unpackImage } from './unpack.ts';
import type { Arrival } from './unpack-job.ts';

/** A plan to carry out. */
export interface Work {
  readonly name: string;
  readonly session: RegistrySession;
  readonly unpack: readonly { readonly snapshotter: string; readonly platform: Platform }[];
  readonly plan: Plan;
  readonly allMetadata: boolean;
  readonly customer: Customer;
}

/** Fetches all blobs and unpacks what is asked for; a layer is unpacked while its blob comes. */
export async function bringHere(parts: TransferParts, ctx: Context, work: Work): Promise<void> {
  const blobs = blobsOf(work.plan);
  const later = fetchedLater(parts, work);
  const now = [...blobs.values()].filter(({ descriptor }) => !later.has(descriptor.digest));
  using room = await reserve(parts, ctx, now, work);
  const customer = notedBy(room, work.customer);
  const group = new TaskGroup(ctx.signal);
  const inner = { ...ctx, signal: group.signal };
  const fetched = new Map<Digest, Arrival>();
  const fetch = (wanted: ChildBlob): Arrival => {
    const { digest } = wanted.descriptor;
    const known = fetched.get(digest);
    if (known !== undefined) return known;
    const { promise: growing, resolve: onGrowing } = Promise.withResolvers<GrowingBlob>();
    const whole = group.run(() => fetchOne(parts, inner, { ...work, customer }, { ...wanted, onGrowing }));
    const arrival = { whole, growing };
    fetched.set(digest, arrival);
    return arrival;
  };
  for (const wanted of now) void fetch(wanted);
  const bring = ({ digest }: Descriptor): Arrival => {
    const wanted = blobs.get(digest);
    return wanted === undefined ? { whole: Promise.resolve() } : fetch(wanted);
  };
  for (const { snapshotter, platform } of work.unpack)
    void group
      .run(async () => {
        const image = imageFor(work.plan.images, platform, work.name);
        const into = snapshotterOf(parts, snapshotter);
        const reference = formatReference(work.session.reference);
        const job = { image, snapshotter: into, customer, reference, bring };
        await inSpan(inner, 'unpack', { reference, snapshotter: into.name }, (ctx) =>
          unpackImage(parts, ctx, job),
        );
      })
      .catch(() => {}); // join throws it
  if (work.allMetadata) void group.run(() => work.plan.readOthers(group.signal)).catch(() => {});
  await group.join();
}

const notedBy = (room: Reservation, { id, report }: Customer): Customer => ({
  id,
  report(step) {
    room.note(step);
    report(step);
  },
});

/** What planning has not brought already: parts, layers, and configs that are no image's. Each digest once. */
function blobsOf({ images, parts }: Plan): Map<Digest, ChildBlob> {
  const wanted = images.flatMap(({ config, document, manifest }) =>
    [...(config === undefined ? [document.config] : []), ...document.layers].map((descriptor) => ({
      descriptor,
      parent: manifest,
    })),
  );
  return new Map([...parts, ...wanted].map((blob) => [blob.descriptor.digest, blob]));
}

function fetchOne(
  parts: TransferParts,
  ctx: Context,
  work: Work,
  { descriptor, parent, onGrowing }: ChildBlob & Pick<Wanted, 'onGrowing'>,
): Promise<void> {
  const { reference } = work.session;
  work.customer.report({
    phase: 'waiting',
    name: refKey(descriptor),
    descriptor,
    parent,
    offset: 0,
    total: descriptor.size,
  });
  const blob = { descriptor, parent, reference, customer: work.customer, ...(onGrowing && { onGrowing }) };
  const { digest, size } = descriptor;
  const done = inSpan(ctx, 'fetch', { digest, size }, (inner) =>
    ensureBlob(parts, inner, blob, sourceOf(work.session)),
  );
  done.catch(() => {}); // the group reports it, whether or not a layer waits for it
  return done;
}

/** Room for what is not here yet. @throws resource_exhausted */
async function reserve(
  parts: TransferParts,
  ctx: Context,
  blobs: Iterable<ChildBlob>,
  { name, unpack }: Work,
): Promise<Reservation> {
  const incoming: Incoming[] = [];
  for (const { descriptor } of blobs) {
    if (await isHere(parts, ctx, descriptor.digest)) continue;
    const unpacks = unpack.length > 0 && isLayerType(descriptor.mediaType);
    incoming.push({
      digest: descriptor.digest,
      sizeBytes: descriptor.size,
      hereBytes: await partOf(parts, ctx, descriptor),
      unpacks,
    });
  }
  return parts.disk.reserve(ctx, incoming, name);
}

/** Bytes that an earlier pull left. */
async function partOf({ content }: TransferParts, ctx: Context, descriptor: Descriptor): Promise<number> {
  try {
    return (await content.status(ctx, refKey(descriptor))).offset;
  } catch (error) {
    if (isKind(error, 'not_found')) return 0;
    throw error;
  }
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
