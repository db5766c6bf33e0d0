import { isDeepStrictEqual } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { isIdentifier } from '../../src/async/identifier.ts';
import { ImageStoreSchema } from '../../src/gen/containerd/types/transfer/transfer_pb.ts';
import type { Answer, Call } from './call.ts';
import { extensionKeys, sizeByRef } from './world.ts';

/** A difference that is meant; docs/compatibility.md tells it in the same words. */
export interface Explained {
  readonly why: string;
  readonly covers: (call: Call, berth: Answer, containerd: Answer) => boolean;
}

const words =
  /(?:: )?\b(?:invalid argument|not found|already exists|failed precondition|out of range|unavailable|aborted|not implemented|resource exhausted|permission denied)$/;

/** A text without the words that only repeat the code, at either end. */
function bare(text: string): string {
  let rest = text.replace(/^invalid argument: /, '');
  for (let shorter = rest.replace(words, ''); shorter !== rest; shorter = rest.replace(words, ''))
    rest = shorter;
  return rest;
}

const sameButWords = (berth: Answer, containerd: Answer): boolean =>
  (berth.code === containerd.code || (berth.code !== 0 && containerd.code === 2)) &&
  isDeepStrictEqual(berth.messages, containerd.messages) &&
  bare(berth.text) === bare(containerd.text);

const bothFail = (berth: Answer, containerd: Answer): boolean => berth.code !== 0 && containerd.code !== 0;
const bothSucceed = (berth: Answer, containerd: Answer): boolean => berth.code === 0 && containerd.code === 0;

/** Both fail with the same code, and containerd's words match. */
const told = (berth: Answer, containerd: Answer, pattern: RegExp): boolean =>
  berth.code === containerd.code && berth.code !== 0 && pattern.test(containerd.text);

type Fields = Readonly<Record<string, unknown>>;

/** The answers without the named fields. */
const without = (messages: readonly unknown[], ...names: string[]): Fields[] =>
  messages.map((message) =>
    Object.fromEntries(Object.entries(message as Fields).filter(([name]) => !names.includes(name))),
  );

/** Activations without more of what was mounted than its type. */
const withoutMounts = (messages: readonly unknown[]): unknown =>
  JSON.parse(JSON.stringify(messages), (_, value) =>
    value?.mountPoint === undefined ? value : { ...value, mount: value.mount?.type },
  );

/** Every difference that is meant. The first that covers one explains it. */
export const explained: readonly Explained[] = [
  {
    why: 'Every message ends with the words of its error kind, once; containerd leaves them out or doubles them in places (clients show both alike), and says UNKNOWN for some.',
    covers: (_, berth, containerd) => sameButWords(berth, containerd),
  },
  {
    why: 'Version names Berth in its revision.',
    covers: ({ method }) => method === 'Version.Version',
  },
  {
    why: 'Namespaces.List honours its filter, which containerd ignores.',
    covers: ({ method }) => method === 'Namespaces.List',
  },
  {
    why: 'Namespaces.Update answers with the namespace; containerd leaves it out.',
    covers: ({ method }, berth, containerd) =>
      method === 'Namespaces.Update' &&
      bothSucceed(berth, containerd) &&
      isDeepStrictEqual(without(berth.messages, 'namespace'), containerd.messages),
  },
  {
    why: 'Content.Write sends each answer once and its times with STAT only; containerd sends the last answer twice, and times and digest with all after a STAT.',
    covers: ({ method }, berth, containerd) => {
      if (method !== 'Content.Write') return false;
      const [ours, theirs] = [berth, containerd].map(({ messages }) =>
        without(messages, 'startedAt', 'updatedAt', 'total').map((message) =>
          Number(message.action ?? 0) > 2 ? without([message], 'digest')[0] : message,
        ),
      );
      const all = containerd.code === 0 ? theirs?.slice(0, -1) : theirs;
      return (
        berth.code === containerd.code &&
        bare(berth.text) === bare(containerd.text) &&
        isDeepStrictEqual(ours, all)
      );
    },
  },
  {
    why: 'A filter whose regular expression is none is refused (decisions/0004); containerd takes it for one that matches nothing, or tells another fault of it first.',
    covers: (_, berth, containerd) =>
      berth.text.startsWith('error parsing regexp: ') &&
      (containerd.code === 0 || containerd.text.startsWith('filters: parse error: ')),
  },
  {
    why: 'Without a namespace a request that is wrong in itself, too, may be told that instead.',
    covers: ({ options }, berth, containerd) =>
      options.namespace === '' &&
      berth.code === 3 &&
      containerd.text === 'namespace is required: failed precondition',
  },
  {
    why: 'Mounts.List honours its filters, which containerd ignores.',
    covers: ({ method, requests: [request] }, _, containerd) =>
      method === 'Mounts.List' &&
      containerd.code === 0 &&
      (((request as Fields).filters ?? []) as unknown[]).length > 0,
  },
  {
    why: 'Mounts.Info and List tell what was mounted whole; containerd keeps only its type.',
    covers: ({ method }, berth, containerd) =>
      /^Mounts[.](?:Info|List)$/.test(method) &&
      isDeepStrictEqual(withoutMounts(berth.messages), withoutMounts(containerd.messages)),
  },
  {
    why: 'Controller.Platform asks the sandbox; containerd does not implement it.',
    covers: ({ method }, _, containerd) => method === 'Controller.Platform' && containerd.code === 12,
  },
  {
    why: 'Snapshots.Cleanup works with every snapshotter.',
    covers: ({ method }, berth, containerd) =>
      method === 'Snapshots.Cleanup' && berth.code === 0 && containerd.code === 12,
  },
  {
    why: 'A Transfer that names a stream that was never opened, a reference that is none, a type that nobody knows or bytes that are no message says which it is; containerd says less, and UNKNOWN for bad references.',
    covers: ({ method }, berth, containerd) =>
      method === 'Transfer.Transfer' &&
      bothFail(berth, containerd) &&
      /^(?:stream "|reference "|type with url |transfer (?:source|destination): )/.test(berth.text),
  },
  {
    why: 'A tag without a name to give says so; containerd looks for the image first.',
    covers: ({ method }, berth, containerd) =>
      method === 'Transfer.Transfer' &&
      berth.text === 'no image name found: not found' &&
      /^image .* not found$/.test(containerd.text),
  },
  {
    why: 'Diff tells the failed system call of a mount, containerd its own temporary directory.',
    covers: ({ method }, berth, containerd) => method.startsWith('Diff.') && bothFail(berth, containerd),
  },
  {
    why: 'In a namespace that has, or never had, a container, a snapshot, a mount or a sandbox, containerd may say so in other words.',
    covers: (_, berth, containerd) =>
      told(
        berth,
        containerd,
        /^(?:cannot (?:update|delete) container .* in namespace|can not find snapshotter|missing (?:v1|namespace .*|mounts) bucket|no sandbox buckets)/,
      ),
  },
  {
    why: 'Statuses of ingests tell the expected digest, too.',
    covers: ({ method }, berth, containerd) =>
      /^Content[.](?:Status|ListStatuses)$/.test(method) &&
      bothSucceed(berth, containerd) &&
      JSON.stringify(berth.messages).replaceAll(/"expected":"[^"]*",/g, '') ===
        JSON.stringify(containerd.messages),
  },
  {
    why: 'Without a namespace Snapshots.List fails as all others do; containerd says UNKNOWN.',
    covers: ({ method, options }) => method === 'Snapshots.List' && options.namespace === '',
  },
  {
    why: 'A namespace that is no identifier is refused by every call; containerd takes it where it does not look at it.',
    covers: (_, berth) => berth.text.startsWith('namespace validation: '),
  },
  {
    why: 'Messages are cut at 4,096 characters, and topics may have 128.',
    covers: (_, berth, containerd) =>
      berth.code === containerd.code && berth.code !== 0 && containerd.text.length > 4096,
  },
  {
    why: 'Digests that are none are refused in other words.',
    covers: (_, berth, containerd) =>
      told(berth, containerd, /unsupported digest algorithm|invalid checksum digest (?:format|length)/) ||
      (told(berth, containerd, /^/) && /failed validation|invalid digest/.test(berth.text)),
  },
  {
    why: 'Empty ids and label keys are named; containerd says "incompatible value", "key required" or "invalid argument".',
    covers: (_, berth, containerd) =>
      berth.code !== 0 &&
      /incompatible value|(?:bucket name|key) required$|^invalid argument$/.test(containerd.text),
  },
  {
    why: 'Empty ids and label keys are refused before anything else is looked at.',
    covers: (_, berth, containerd) => bothFail(berth, containerd) && berth.text.includes('must not be empty'),
  },
  {
    why: 'A stream whose first message is not StreamInit, or names no id, is an invalid argument; containerd says UNKNOWN, or takes it.',
    covers: ({ method }, berth, containerd) =>
      method === 'Streaming.Stream' && (bothFail(berth, containerd) || berth.text.includes('has no id')),
  },
  {
    why: 'Commit and Mounts of a snapshot that is not there or not active name it as the client did; of several faults Commit may name another.',
    covers: ({ method }, berth, containerd) =>
      (method === 'Snapshots.Commit' && bothFail(berth, containerd)) ||
      (method === 'Snapshots.Mounts' && told(berth, containerd, /./)),
  },
  {
    why: 'Errors show what is not ASCII whole; containerd cuts it into bytes.',
    covers: (_, berth, containerd) => bothFail(berth, containerd) && containerd.text.includes('\ufffd'),
  },
  {
    why: 'PluginInfo of a plug-in that is not there is not found, whatever the options; containerd looks at those first.',
    covers: ({ method }, berth, containerd) =>
      method === 'Introspection.PluginInfo' && bothFail(berth, containerd),
  },
];

export const explanationOf = (call: Call, berth: Answer, containerd: Answer): Explained | undefined =>
  explained.find(({ covers }) => covers(call, berth, containerd));

/** A call after which the two hold different things; it is not made. */
interface Avoided {
  readonly why: string;
  readonly covers: (method: string, requests: readonly Fields[], namespace: string) => boolean;
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

export const avoided: readonly Avoided[] = [
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

export const isAvoided = ({ method, requests, options: { namespace = '' } }: Call): boolean =>
  avoided.some(({ covers }) => covers(method, requests as readonly Fields[], namespace));
