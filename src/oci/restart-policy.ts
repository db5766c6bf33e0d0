import { invalidArgument } from '../errors/error.ts';
import { restartLabels } from './label-names.ts';

/** When a container that has ended starts again. */
export interface RestartPolicy {
  readonly name: 'no' | 'always' | 'on-failure' | 'unless-stopped';
  /** Of `on-failure`: how many restarts; 0 for any number. */
  readonly maxRetries: number;
}

/** The words of containerd's policies, as clients ask for them (capabilities of its plug-in). */
export const restartPolicies = ['no', 'always', 'on-failure', 'unless-stopped'] as const;

/** `''` means always, as in containerd. @throws invalid_argument in containerd's words */
export function parseRestartPolicy(text: string): RestartPolicy {
  const [word = '', count] = text.split(':');
  const name = restartPolicies.find((policy) => policy === (word || 'always'));
  if (name === undefined) throw invalidArgument(`restart policy ${quoted(text)} not supported`);
  if (count === undefined) return { name, maxRetries: 0 };
  if (name !== 'on-failure')
    throw invalidArgument(`restart policy ${quoted(word)} not support max retry count`);
  const maxRetries = parseCount(count);
  if (maxRetries === undefined) throw invalidArgument(`invalid max retry count: ${count.slice(0, 100)}`);
  return { name, maxRetries };
}

/** How a task ended; 0 where there is none left to ask. */
export interface Ending {
  readonly exitStatus: number;
}

/**
 * Whether a container that should run and does not is to be started again, as containerd decides it.
 * @throws invalid_argument (policy, count)
 */
export function wantsRestart(labels: Readonly<Record<string, string>>, { exitStatus }: Ending): boolean {
  const { name, maxRetries } = parseRestartPolicy(labels[restartLabels.policy] ?? '');
  if (name === 'always') return true;
  if (name === 'unless-stopped') return !isExplicitlyStopped(labels);
  if (name === 'no') return false;
  const text = labels[restartLabels.count] ?? '';
  const count = text === '' ? 0 : parseCount(text);
  if (count === undefined) throw invalidArgument(`invalid restart count: ${text.slice(0, 100)}`);
  return exitStatus !== 0 && (maxRetries === 0 || count < maxRetries);
}

/** How often it was restarted so far; 0 where the label says nothing. */
export const restartCountOf = (labels: Readonly<Record<string, string>>): number =>
  parseCount(labels[restartLabels.count] ?? '') ?? 0;

/** Go's words for true. */
export const isExplicitlyStopped = (labels: Readonly<Record<string, string>>): boolean =>
  /^(?:1|t|T|TRUE|true|True)$/.test(labels[restartLabels.explicitlyStopped] ?? '');

function parseCount(text: string): number | undefined {
  const count = /^[+-]?\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(count) ? count : undefined;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));
