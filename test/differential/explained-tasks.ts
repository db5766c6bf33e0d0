import { isDeepStrictEqual } from 'node:util';
import { bothFail, bothSucceed, type Explained, type Fields, without } from './answers.ts';
import type { Answer } from './call.ts';
import { bare } from './words.ts';

const withoutIds = (method: string, messages: readonly unknown[]): unknown =>
  JSON.parse(JSON.stringify(method === 'Tasks.Delete' ? without(messages, 'id') : messages), (name, value) =>
    name === 'containerId' ? undefined : value,
  );

const metricsOf = ({ messages: [all] }: Answer): unknown[] =>
  (((all as Fields).metrics ?? []) as Fields[]).map(({ id }) => id);

/** Differences of Tasks that are meant. */
export const explainedTasks: readonly Explained[] = [
  {
    why: 'Tasks.Get and List tell the container of a process, Tasks.Delete the id of a task, too.',
    covers: ({ method }, berth, containerd) =>
      /^Tasks[.](?:Get|List|Delete|Pause)$/.test(method) &&
      bothSucceed(berth, containerd) &&
      isDeepStrictEqual(withoutIds(method, berth.messages), containerd.messages),
  },
  {
    why: 'A specification of a process that is no JSON is an invalid argument; containerd passes on what its parser says.',
    covers: ({ method }, berth, containerd) =>
      /^Tasks[.](?:Create|Exec|Update)$/.test(method) &&
      bothFail(berth, containerd) &&
      containerd.code === 2 &&
      /invalid character|unexpected end of JSON input/.test(containerd.text),
  },
  {
    why: 'A checkpoint whose digest is none is refused for that; containerd looks at its type first.',
    covers: ({ method }, berth, containerd) =>
      method === 'Tasks.Create' &&
      berth.text.startsWith('invalid digest') &&
      containerd.text.startsWith('unsupported checkpoint type'),
  },
  {
    why: 'A signal that does not exist is refused before the process is looked at; containerd passes on what the kernel says.',
    covers: ({ method }, berth, containerd) =>
      method === 'Tasks.Kill' && bothFail(berth, containerd) && /^signal \d+ does not exist/.test(berth.text),
  },
  {
    why: 'Tasks.Metrics tells of tasks that run; containerd of those that have ended, too, until they are deleted.',
    covers: ({ method }, berth, containerd) => {
      if (method !== 'Tasks.Metrics' || !bothSucceed(berth, containerd)) return false;
      const [ours, theirs] = [berth, containerd].map(metricsOf);
      return ours?.every((id) => theirs?.includes(id)) === true;
    },
  },
  {
    why: 'A root file system that cannot be mounted, and a stream that cannot be opened, are named with the system call or the path that failed; containerd names what it was about to do.',
    covers: ({ method }, berth, containerd) =>
      /^Tasks[.](?:Create|Start)$/.test(method) &&
      containerd.code === 2 &&
      ((/failed to mount rootfs component/.test(containerd.text) && /: mount /.test(berth.text)) ||
        (/failed to start io pipe copy|unknown STDIO scheme/.test(containerd.text) &&
          /: open std(?:in|out|err) /.test(berth.text))),
  },
  {
    why: 'Options of a runtime that are of another type are refused by the shim, after all else; containerd decodes them first.',
    covers: ({ method, requests: [request] }, berth, containerd) =>
      method === 'Tasks.Create' &&
      (request as Fields).options !== undefined &&
      bothFail(berth, containerd) &&
      /^(?:type with url |proto: )/.test(containerd.text),
  },
  {
    why: 'A name of a runtime that is none is an invalid argument; containerd adds what it was about to do, and says UNKNOWN.',
    covers: ({ method }, berth, containerd) =>
      method === 'Tasks.Create' &&
      berth.code === 3 &&
      containerd.text === `failed to start shim: failed to resolve runtime path: ${bare(berth.text)}`,
  },
  {
    why: 'The processes of a task that was killed before it was started are none that can be listed; containerd lists none, or says so.',
    covers: ({ method }, berth, containerd) =>
      method === 'Tasks.ListPids' &&
      berth.text === 'container is stopped: failed precondition' &&
      isDeepStrictEqual(containerd.messages, [{}]),
  },
  {
    why: 'A container without a specification is refused for that; containerd looks for the file it did not write.',
    covers: ({ method }, berth, containerd) =>
      method === 'Tasks.Create' &&
      berth.text.includes('runtime spec is not JSON: ') &&
      containerd.text.includes('open config.json: no such file'),
  },
];
