import { Tasks } from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import type { Call } from './call.ts';
import type { ExpectedEvent } from './seen-events.ts';
import { namesOf } from './world.ts';

type Fields = Readonly<Record<string, unknown>>;

interface Process {
  readonly options: Call['options'];
  readonly containerId: string;
  /** Empty for the task itself. */
  readonly execId: string;
}

const [, , endingTask] = namesOf('task');
const [, endingExec] = namesOf('exec');

/** Topics of what shims tell of a call that succeeded; of an exec where that differs. */
const topics: Readonly<Record<string, readonly [ofTask: string, ofExec?: string]>> = {
  'Tasks.Create': ['/tasks/create'],
  'Tasks.Start': ['/tasks/start', '/tasks/exec-started'],
  'Tasks.Delete': ['/tasks/delete'],
  'Tasks.Exec': ['', '/tasks/exec-added'],
};

/**
 * Processes that are there and have not ended, so that what ends of itself or is killed has ended, and all that
 * shims tell in their own time is told, before the next call.
 */
export class Running {
  readonly #started = new Map<string, Process>();
  /** Whether it was started, of every task that is there. */
  readonly #tasks = new Map<string, boolean>();

  /** Whether that container has a task, and whether that was started. */
  taskOf(namespace: string, containerId: string): 'none' | 'created' | 'started' {
    const started = this.#tasks.get(containerOf({ options: { namespace }, containerId, execId: '' }));
    if (started === undefined) return 'none';
    return started ? 'started' : 'created';
  }

  /** All tasks were ended and deleted. */
  clear(): void {
    this.#started.clear();
    this.#tasks.clear();
  }

  /** What to wait for after a call that both sides answered with OK: those that end of it. */
  endedBy({ method, requests, options }: Call): Call[] {
    const process = processOf(requests[0], options);
    if (method === 'Tasks.Create') {
      this.#tasks.set(containerOf(process), false);
      this.#started.set(keyOf(process), process);
    }
    if (method === 'Tasks.Delete') this.#tasks.delete(containerOf(process));
    if (method === 'Tasks.Start') {
      if (process.execId === '') this.#tasks.set(containerOf(process), true);
      this.#started.set(keyOf(process), process);
      return endsByItself(process) ? this.#waits(process, process.execId === '') : [];
    }
    if (method !== 'Tasks.Kill') return [];
    const { signal, all } = (requests[0] ?? {}) as Fields;
    if (signal === 9) return this.#waits(process, process.execId === '' || all === true);
    // A first process takes no other signal; another ends of any.
    return signal !== 0 && process.execId !== '' ? this.#waits(process, false) : [];
  }

  /** Of one process, or of all of its container, which then are no longer known. */
  #waits(ended: Process, whole: boolean): Call[] {
    const all = [...this.#started].filter(([key, process]) =>
      whole ? containerOf(process) === containerOf(ended) : key === keyOf(ended),
    );
    for (const [key] of all) this.#started.delete(key);
    return all.map(([, { options, containerId, execId }]) => ({
      method: 'Tasks.Wait',
      service: Tasks,
      desc: Tasks.method.wait,
      requests: [{ containerId, execId }],
      options,
    }));
  }
}

/** What shims tell of a call that succeeded. */
export function eventsOf({ method, requests, options }: Call): ExpectedEvent[] {
  const { containerId, execId } = processOf(requests[0], options);
  const namespace = options.namespace ?? '';
  if (method === 'Tasks.Wait')
    return [{ namespace, topic: '/tasks/exit', fields: { containerId, id: execId || containerId } }];
  const [ofTask, ofExec] = topics[method] ?? [];
  const topic = execId === '' ? ofTask : ofExec;
  if (!topic) return [];
  return [{ namespace, topic, fields: { containerId, ...(execId !== '' && { execId }) } }];
}

function processOf(request: object | undefined, options: Call['options']): Process {
  const { containerId = '', execId = '' } = (request ?? {}) as Fields;
  return { options, containerId: String(containerId), execId: String(execId) };
}

const endsByItself = ({ containerId, execId }: Process): boolean =>
  execId === '' ? containerId === endingTask : execId === endingExec;
const containerOf = ({ options, containerId }: Process): string =>
  JSON.stringify([options.namespace, containerId]);
const keyOf = (process: Process): string => JSON.stringify([containerOf(process), process.execId]);
