import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BerthClient, isKind, type TaskState } from '../../src/client/index.ts';
import type { Journal, Runner } from './journal.ts';
import { settled } from './rest.ts';

const unknownExit = 255;

/** I1: what clients were told is so. What nobody was told is looked up, and known from then on. */
export async function checkRegisters(clients: readonly BerthClient[], journal: Journal): Promise<string[]> {
  const found: string[] = [];
  for (const client of clients) {
    const images = new Set((await client.images.list()).map(({ name }) => name));
    const leases = new Set((await client.leases.list()).map(({ id }) => id));
    for (const [what, register, present] of [
      ['image', journal.images, images],
      ['lease', journal.leases, leases],
    ] as const) {
      for (const [key, known] of register) {
        const [namespace, name = ''] = key.split(' ');
        if (namespace !== client.namespace) continue;
        const actual = present.has(name) ? 'present' : 'absent';
        if (known !== 'unknown' && known !== actual)
          found.push(`I1: ${what} ${key} is ${actual}, not ${known}`);
        register.set(key, actual);
      }
    }
  }
  return found;
}

/** I1, I6, I7, I9: containers that were started run on with the same pid, or have ended as they had to. */
export async function checkRunners(client: BerthClient, journal: Journal, logs: string): Promise<string[]> {
  const found: string[] = [];
  const records = new Set((await client.containers.list()).map(({ id }) => id));
  for (const id of journal.removed)
    if (records.has(id)) found.push(`I1: container ${id} was removed and is here again`);
  for (const runner of [...journal.runners.values()]) {
    if (!records.has(runner.id)) found.push(`I1: container ${runner.id} is gone`);
    else if (runner.exitCode === undefined) found.push(...(await checkTicker(client, journal, runner, logs)));
    else found.push(...(await checkEnder(client, journal, runner, runner.exitCode)));
  }
  return found;
}

async function checkTicker(
  client: BerthClient,
  journal: Journal,
  runner: Runner,
  logs: string,
): Promise<string[]> {
  const task = await findTask(client, runner.id);
  if (task?.status !== 'running') return [`I6: ${runner.id} is ${task?.status ?? 'without a task'}`];
  if (runner.pid !== 0 && runner.pid !== task.pid)
    return [`I6: ${runner.id} had pid ${runner.pid}, has ${task.pid}`];
  journal.runners.set(runner.id, { ...runner, pid: task.pid });
  if (runner.printsTo === 'fifo') return [];
  return checkLog(join(logs, runner.namespace, runner.id, 'log'));
}

/** I6: a log of 0, 1, 2, … without gap or duplicate, that still grows. */
async function checkLog(path: string): Promise<string[]> {
  const before = readLog(path).length;
  const grown = await settled(() =>
    readLog(path).length > before ? [] : [`I6: ${path} does not grow beyond ${before} lines`],
  );
  const lines = readLog(path);
  const wrong = lines.findIndex((line, i) => line !== String(i));
  return wrong === -1
    ? grown
    : [...grown, `I6: ${path}: line ${wrong} of ${lines.length} is ${lines[wrong]}`];
}

/** Whole lines of a log in the CRI format, without time, stream and tag. */
function readLog(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => line.split(' ').slice(3).join(' '));
}

async function checkEnder(
  client: BerthClient,
  journal: Journal,
  { id, mayBeUnknown }: Runner,
  exitCode: number,
): Promise<string[]> {
  let task: TaskState | undefined;
  const late = await settled(async () => {
    task = await findTask(client, id);
    return task?.status === 'stopped'
      ? []
      : [`I7: ${id} should have ended, but is ${task?.status ?? 'without a task'}`];
  });
  journal.runners.delete(id);
  if (late.length > 0) return late;
  if (mayBeUnknown === true && task?.exitCode === unknownExit) return [];
  return task?.exitCode === exitCode ? [] : [`I7: ${id} ended with ${task?.exitCode}, not ${exitCode}`];
}

async function findTask(client: BerthClient, id: string): Promise<TaskState | undefined> {
  try {
    return await client.tasks.get(id);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}
