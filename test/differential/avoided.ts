import { fromBinary } from '@bufbuild/protobuf';
import { isIdentifier } from '../../src/async/identifier.ts';
import { ImageStoreSchema } from '../../src/gen/containerd/types/transfer/transfer_pb.ts';
import { maxRefLength } from '../../src/metadata/ingests.ts';
import type { Call } from './call.ts';
import type { Running } from './running.ts';
import { extensionKeys, layerBlobs, sizeByRef } from './world.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A call after which the two hold different things; it is not made. */
interface Avoided {
  readonly why: string;
  readonly covers: (
    method: string,
    requests: readonly Fields[],
    namespace: string,
    running: Running,
  ) => boolean;
}

const isDigestOrNone = (text: unknown): boolean =>
  text === undefined || /^(?:sha256:[0-9a-f]{64})?$/.test(String(text));
const isNegative = (value: unknown): boolean => typeof value === 'bigint' && value < 0n;
const extensionsOf = ({ container }: Fields): string =>
  Object.keys(((container ?? {}) as Fields).extensions ?? {})
    .sort()
    .join();
const everyExtension = extensionKeys.toSorted().join();
const isFar = (time: unknown): boolean =>
  Math.abs(Number(((time ?? {}) as { seconds?: bigint }).seconds ?? 0)) > 8.64e12;

const mountTypesOf = ({ mounts = [] }: Fields): string[] =>
  (mounts as Fields[]).map(({ type }) => String(type));
const whole = ({ sandbox = {} }: Fields): boolean => {
  const { runtime, spec } = sandbox as { runtime?: Fields; spec?: unknown };
  return runtime?.options !== undefined && spec !== undefined;
};
const sandboxExtensionsOf = ({ sandbox = {} }: Fields): string => extensionsOf({ container: sandbox });

function namesItself(destination: unknown): boolean {
  const { typeUrl, value } = (destination ?? {}) as { typeUrl?: string; value?: Uint8Array };
  if (typeUrl !== ImageStoreSchema.typeName || value === undefined) return false;
  const { name, extraReferences } = fromBinary(ImageStoreSchema, value);
  return extraReferences.some((reference) => reference.name === name && !reference.addDigest);
}

/** Whether the request applies a layer of the world as one of another compression. */
function misnamesLayer({ diff }: Fields): boolean {
  const { digest, mediaType } = (diff ?? {}) as Fields;
  const layer = layerBlobs.find((blob) => blob.digest === digest);
  return layer !== undefined && layer.mediaType !== mediaType;
}

const isUnsafe = (size: unknown): boolean =>
  typeof size === 'bigint' && size > BigInt(Number.MAX_SAFE_INTEGER);
const isRef = (ref: unknown): boolean => !String(ref).includes('\0') && String(ref).length <= maxRefLength;

export const avoided: readonly Avoided[] = [
  {
    why: 'The ref of an ingest has up to 1,024 characters and no NUL; containerd takes any.',
    covers: (method, requests) =>
      (method === 'Content.Write' || method === 'Diff.Diff') && !requests.every(({ ref = '' }) => isRef(ref)),
  },
  {
    why: 'A size above 2^53-1 is refused in the target of an image; containerd records it.',
    covers: (method, [{ image } = {}]) =>
      method.startsWith('Images.') &&
      isUnsafe((((image ?? {}) as Fields).target as Fields | undefined)?.size),
  },
  {
    why: 'What a signal other than SIGKILL does to a task that was not started is up to the runtime, and when it shows.',
    covers: (method, [{ containerId, signal } = {}], namespace, running) =>
      method === 'Tasks.Kill' &&
      signal !== 9 &&
      signal !== 0 &&
      running.taskOf(namespace, String(containerId)) === 'created',
  },
  {
    why: 'A create without a root file system that fails leaves the directory of the bundle behind in containerd, so that the task can never be made.',
    covers: (method, [{ rootfs } = {}]) =>
      method === 'Tasks.Create' && ((rootfs ?? []) as unknown[]).length === 0,
  },
  {
    why: 'To what a signal other than SIGKILL for all of a container goes is up to the runtime.',
    covers: (method, [{ all, signal } = {}]) =>
      method === 'Tasks.Kill' && all === true && signal !== 9 && signal !== 0,
  },
  {
    why: 'A task can be reached when the record of its container was deleted; in containerd only when there is one again.',
    covers: (method, [{ id } = {}], namespace, running) =>
      method === 'Containers.Delete' && running.taskOf(namespace, String(id)) !== 'none',
  },
  {
    why: 'Tasks.DeleteProcess wants the id of an exec; containerd takes none for the task itself.',
    covers: (method, [{ containerId, execId } = {}], namespace, running) =>
      method === 'Tasks.DeleteProcess' &&
      !execId &&
      running.taskOf(namespace, String(containerId)) !== 'none',
  },
  {
    why: 'A task that is deleted before it was started ended of SIGKILL; containerd may say so, or tell status 0.',
    covers: (method, [{ containerId } = {}], namespace, running) =>
      method === 'Tasks.Delete' && running.taskOf(namespace, String(containerId)) === 'created',
  },
  {
    why: 'A layer that is compressed otherwise than its media type says is refused; containerd unpacks what it finds.',
    covers: (method, [request = {}]) => method === 'Diff.Apply' && misnamesLayer(request),
  },
  {
    why: 'Activating mounts of which the last that is made here was transformed works; containerd 2.3.4 dies of it and leaves half of it behind.',
    covers: (method, [request = {}]) =>
      method === 'Mounts.Activate' &&
      request.temporary === true &&
      mountTypesOf(request).some((type) => /^(?:format|mkfs|mkdir)[/]/.test(type)),
  },
  {
    why: 'Store.Update of sandboxes takes away what it is not given; containerd keeps extensions, specification and options of the runtime.',
    covers: (method, [request = {}]) =>
      (method === 'Store.Update' && (!whole(request) || sandboxExtensionsOf(request) !== everyExtension)) ||
      (method === 'Store.Create' && !['', everyExtension].includes(sandboxExtensionsOf(request))),
  },
  {
    why: 'Events.Forward wants an identifier as the namespace of the caller, too, as everything does; containerd looks at that of the event only.',
    covers: (method, _, namespace) => method === 'Events.Forward' && !isIdentifier(namespace),
  },
  {
    why: 'A further name of an image that is its own name is that image; containerd lets it expire and refer back to itself.',
    covers: (method, [request = {}]) => method === 'Transfer.Transfer' && namesItself(request.destination),
  },
  {
    why: 'A write that starts from a blob of another namespace begins with its bytes, is listed, and starts over at offset 0; containerd lists none and adds to the bytes.',
    covers: (method, _, namespace) => method === 'Content.Write' && namespace !== 'alpha',
  },
  {
    why: 'Namespaces.* do not look at the namespace of the caller in containerd; here it must be an identifier as everywhere.',
    covers: (method, _, namespace) => method.startsWith('Namespaces.') && !isIdentifier(namespace),
  },
  {
    why: 'Times before the year -271821 or after 275760 are refused.',
    covers: (_, [request = {}]) =>
      isFar(request.sourceDateEpoch) || isFar(((request.envelope ?? {}) as Fields).timestamp),
  },
  {
    why: 'The ingests of a deleted namespace are gone; in containerd those of the next namespace of that name find their bytes.',
    covers: (method, [request = {}]) => method === 'Namespaces.Delete' && request.name === 'alpha',
  },
  {
    why: 'A snapshot is never its own parent; containerd makes it so, and hangs at the next call.',
    covers: (method, [request = {}]) =>
      method === 'Snapshots.Commit' && request.parent !== undefined && request.parent === request.name,
  },
  {
    why: 'Labels of leases are as long as others; containerd takes them at any length.',
    covers: (method, [request = {}]) =>
      method === 'Leases.Create' &&
      Object.entries(request.labels ?? {}).some((pair) => pair.join('').length > 4096),
  },
  {
    why: 'Ids of leases that the daemon makes up are sorted by chance.',
    covers: (method, [request = {}]) => method === 'Leases.Create' && !request.id,
  },
  {
    why: 'Content.Write takes no negative offset and no expected digest that is none; containerd writes on without a check.',
    covers: (method, requests) =>
      method === 'Content.Write' &&
      requests.some(
        ({ offset, expected, total }) => isNegative(offset) || isNegative(total) || !isDigestOrNone(expected),
      ),
  },
  {
    why: 'An ingest that is opened again with another total starts empty; containerd starts at 0 and leaves the old bytes behind the new ones.',
    covers: (method, [first = {}]) =>
      method === 'Content.Write' &&
      first.total !== undefined &&
      first.total !== sizeByRef.get(String(first.ref)),
  },
  {
    why: 'Containers.Update replaces extensions; containerd only adds to them.',
    covers: (method, [request = {}]) =>
      (method === 'Containers.Update' && extensionsOf(request) !== everyExtension) ||
      (method === 'Containers.Create' && !['', everyExtension].includes(extensionsOf(request))),
  },
  {
    why: 'Which plug-ins there are is told by a table of its own: nothing is asked that would list them.',
    covers: (method, [request = {}]) =>
      method === 'Introspection.Plugins' &&
      !((request.filters ?? []) as readonly string[]).some((filter) => filter !== ''),
  },
  {
    why: 'Namespaces.Update makes only namespaces whose name is an identifier.',
    covers: (method, [request = {}]) =>
      method === 'Namespaces.Update' &&
      !isIdentifier(String(((request.namespace ?? {}) as Fields).name ?? '')),
  },
];

export const isAvoided = (
  { method, requests, options: { namespace = '' } }: Call,
  running: Running,
): boolean => avoided.some(({ covers }) => covers(method, requests as readonly Fields[], namespace, running));
