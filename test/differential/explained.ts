import { isDeepStrictEqual } from 'node:util';
import {
  bothFail,
  bothSucceed,
  type Explained,
  type Fields,
  sameButWords,
  told,
  without,
} from './answers.ts';
import type { Answer, Call } from './call.ts';
import { explainedTasks } from './explained-tasks.ts';
import { bare } from './words.ts';

/** Activations without more of what was mounted than its type. */
const withoutMounts = (messages: readonly unknown[]): unknown =>
  JSON.parse(JSON.stringify(messages), (_, value) =>
    value?.mountPoint === undefined ? value : { ...value, mount: value.mount?.type },
  );

const namespacesOf = ({ messages: [all] }: Answer): unknown[] =>
  (((all ?? {}) as Fields).namespaces as Fields[] | undefined)?.map(({ name }) => name) ?? [];

const inodesOf = ({ messages: [usage] }: Answer): number => Number((usage as Fields).inodes ?? 0);

/** What is left of a long text at either end when its middle is cut out. */
const ends = (text: string): string => `${text.slice(0, 1900)} … ${text.slice(-1900)}`;
const ascii = (text: string): string => text.replaceAll(/[^\x20-\x7e]+/g, '');

/** The mounts as they were before one layer more lay beneath them: without any, the directory itself. */
const withoutLowest = (messages: readonly unknown[]): unknown => {
  const [
    {
      mounts: [mount],
    } = { mounts: [] },
  ] = messages as { mounts: { options: string[] }[] }[];
  const options = mount?.options ?? [];
  const lower = options.find((option) => option.startsWith('lowerdir='));
  if (lower === 'lowerdir=<path>')
    return [{ mounts: [{ type: 'bind', target: '', options: ['rbind', 'rw'] }] }];
  return [
    {
      mounts: [
        {
          ...mount,
          options: options.map((option) => (option === lower ? lower.replace(':<path>', '') : option)),
        },
      ],
    },
  ];
};

/** Every difference that is meant. The first that covers one explains it. */
export const explained: readonly Explained[] = [
  ...explainedTasks,
  {
    why: 'Every message ends with the words of its error kind, once; containerd leaves them out or doubles them in places (clients show both alike), and says UNKNOWN for some.',
    covers: (_, berth, containerd) => sameButWords(berth, containerd),
  },
  {
    why: 'Version names Berth in its revision.',
    covers: ({ method }, berth, containerd) =>
      method === 'Version.Version' &&
      isDeepStrictEqual(
        without(berth.messages, 'version', 'revision'),
        without(containerd.messages, 'version', 'revision'),
      ),
  },
  {
    why: 'Namespaces.List honours its filter, which containerd ignores.',
    covers: ({ method, requests: [request] }, berth, containerd) => {
      if (method !== 'Namespaces.List' || containerd.code !== 0 || !(request as Fields).filter) return false;
      const [ours = [], theirs = []] = [berth, containerd].map(namespacesOf);
      return berth.code === 0
        ? ours.every((name) => theirs.includes(name))
        : berth.text.startsWith('filters: parse error: ');
    },
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
      /^(?:stream "|reference "|type with url |transfer (?:source|destination): )/.test(berth.text) &&
      /^(?:not found$|type with url |proto: |parse |failed to resolve image: |method Transfer |image )/.test(
        containerd.text,
      ),
  },
  {
    why: 'A transfer without a name to give says so; containerd looks for the image first.',
    covers: ({ method }, berth, containerd) =>
      method === 'Transfer.Transfer' &&
      berth.text === 'no image name found: not found' &&
      /^(?:image .* not found|failed to resolve image: .*)$/.test(containerd.text),
  },
  {
    why: 'Diff tells the failed system call of a mount, containerd its own temporary directory.',
    covers: ({ method }, berth, containerd) =>
      method.startsWith('Diff.') &&
      bothFail(berth, containerd) &&
      containerd.text.includes('<dir>/root/tmpmounts/'),
  },
  {
    why: 'Mounts without a type, and those of a layer to apply that can only be read, are refused before anything is read.',
    covers: ({ method }, berth, containerd) =>
      method.startsWith('Diff.') &&
      bothFail(berth, containerd) &&
      /^(?:a mount has no type|cannot apply a layer to read-only mounts)/.test(berth.text),
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
    why: 'A namespace that has no sandbox any more has none of their buckets either; in containerd they stay.',
    covers: ({ method }, berth, containerd) =>
      /^Store[.](?:Get|Update|Delete)$/.test(method) &&
      berth.text === 'no sandbox buckets: not found' &&
      told(berth, containerd, /^(?:failed to delete sandbox|bucket) ".*(?:not found)$/s),
  },
  {
    why: 'An active snapshot that a layer was applied to is mounted above the file of that layer (decisions/0006); in containerd its files are in the upper directory.',
    covers: ({ method }, berth, containerd) =>
      method === 'Snapshots.Mounts' &&
      bothSucceed(berth, containerd) &&
      isDeepStrictEqual(withoutLowest(berth.messages), containerd.messages),
  },
  {
    why: 'A message of containerd that begins or ends with a space does not arrive over HTTP/2.',
    covers: (_, berth, containerd) =>
      berth.code === containerd.code &&
      berth.code !== 0 &&
      containerd.text === '' &&
      /^"? | $/.test(bare(berth.text)),
  },
  {
    why: 'Usage of a snapshot that a layer was applied to is that of the file of the layer (decisions/0006), whiteouts and all, and of what was written or applied above it.',
    covers: ({ method, requests: [request] }, berth, containerd) =>
      method === 'Snapshots.Usage' &&
      (request as Fields).snapshotter === 'overlayfs' &&
      bothSucceed(berth, containerd) &&
      inodesOf(berth) > inodesOf(containerd),
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
    covers: ({ method, options }, berth, containerd) =>
      method === 'Snapshots.List' &&
      options.namespace === '' &&
      berth.text === 'namespace is required: failed precondition' &&
      containerd.code === 2,
  },
  {
    why: 'A namespace that is no identifier is refused by every call; containerd takes it where it does not look at it.',
    covers: (_, berth) => berth.text.startsWith('namespace validation: '),
  },
  {
    why: 'Messages are cut at 4,096 characters.',
    covers: (_, berth, containerd) =>
      berth.code === containerd.code &&
      berth.code !== 0 &&
      containerd.text.length > 4096 &&
      ends(bare(berth.text)) === ends(bare(containerd.text)),
  },
  {
    why: 'A topic of more than 128 characters is refused as too long; containerd says so of one of its components.',
    covers: ({ method }, berth, containerd) =>
      method.startsWith('Events.') &&
      berth.text.startsWith('envelope topic "') &&
      told(berth, containerd, /^envelope topic ".*maximum length/s),
  },
  {
    why: 'A digest that is none, and a size out of range, are refused before anything else is looked at.',
    covers: ({ method }, berth, containerd) =>
      /^(?:Images|Diff)[.]/.test(method) &&
      bothFail(berth, containerd) &&
      /^(?:invalid digest "|size -?\d+ is out of range)/.test(berth.text),
  },
  {
    why: 'A layer is applied to mounts; containerd applies one without any to a directory that it then removes.',
    covers: ({ method }, berth) =>
      method === 'Diff.Apply' && berth.text === 'no mounts to apply a layer to: invalid argument',
  },
  {
    why: 'Digests that are none are refused in other words.',
    covers: (_, berth, containerd) =>
      told(berth, containerd, /unsupported digest algorithm|invalid checksum digest (?:format|length)/),
  },
  {
    why: 'Empty ids and label keys are named; containerd says "incompatible value", "key required" or "invalid argument".',
    covers: (_, berth, containerd) =>
      berth.code === 3 &&
      berth.text.includes('must not be empty') &&
      /incompatible value|(?:bucket name|key) required$|^invalid argument$/.test(containerd.text),
  },
  {
    why: 'Empty ids and label keys are refused before anything else is looked at.',
    covers: (_, berth, containerd) => bothFail(berth, containerd) && berth.text.includes('must not be empty'),
  },
  {
    why: 'A stream whose first message is not StreamInit, or names no id, is an invalid argument; containerd says UNKNOWN, or takes it.',
    covers: ({ method }, berth, containerd) =>
      method === 'Streaming.Stream' &&
      berth.code === 3 &&
      /StreamInit|has no id/.test(berth.text) &&
      [0, 2, 4].includes(containerd.code),
  },
  {
    why: 'Commit and Mounts of a snapshot that is not there or not active name it as the client did; of several faults Commit may name another.',
    covers: ({ method }, berth, containerd) =>
      bothFail(berth, containerd) &&
      ((method === 'Snapshots.Commit' &&
        /^(?:snapshot |failed to create snapshot: parent |\w+ cannot put a snapshot)/.test(berth.text) &&
        /snapshot|^failed to commit/.test(containerd.text)) ||
        (/^(?:Snapshots[.]Mounts|Diff[.]Apply)$/.test(method) &&
          told(berth, containerd, /^(?:snapshot does not exist|failed to get (?:active|snapshot) mount: )/))),
  },
  {
    why: 'Errors show what is not ASCII whole; containerd cuts it into bytes.',
    covers: (_, berth, containerd) =>
      berth.code !== 0 &&
      (containerd.code === berth.code || containerd.code === 2) &&
      containerd.text.includes('\ufffd') &&
      ascii(bare(berth.text)) === ascii(bare(containerd.text)),
  },
  {
    why: 'PluginInfo of a plug-in that is not there is not found, whatever the options; containerd looks at those first.',
    covers: ({ method }, berth, containerd) =>
      method === 'Introspection.PluginInfo' &&
      berth.code === 5 &&
      containerd.text.startsWith('failed to unmarshal plugin info Options: '),
  },
];

export const explanationOf = (call: Call, berth: Answer, containerd: Answer): Explained | undefined =>
  explained.find(({ covers }) => covers(call, berth, containerd));
