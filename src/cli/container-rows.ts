import type { BerthClient, Container, TaskState } from '../client/index.ts';
import { containerLabels } from '../oci/label-names.ts';
import { nameOf } from './containers.ts';
import { splitName } from './images.ts';
import { ago, cut, humanDuration } from './output/text.ts';
import { type Filters, hasLabels, parseFilters, passes } from './parse/filter.ts';
import { commandOf } from './spec.ts';

/** One line of `berth ps`, with docker's field names. */
export interface ContainerRow {
  readonly ID: string;
  readonly Image: string;
  readonly Command: string;
  readonly CreatedAt: string;
  readonly RunningFor: string;
  /** created, running, paused, exited. */
  readonly State: string;
  readonly Status: string;
  readonly Names: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Pid: number;
  readonly Runtime: string;
}

export interface ListWish {
  readonly all: boolean;
  readonly trunc: boolean;
  readonly filters: readonly string[];
  readonly last?: number | undefined;
}

const filterKeys = ['id', 'name', 'label', 'status', 'ancestor', 'exited'];

/** Containers as rows, newest first. @throws invalid_argument (filters) */
export async function listContainers(client: BerthClient, wish: ListWish): Promise<ContainerRow[]> {
  const filters = parseFilters(wish.filters, filterKeys);
  const [containers, tasks] = await Promise.all([client.containers.list(), client.tasks.list()]);
  const taskOf = new Map(tasks.map((task) => [task.containerId, task]));
  const all = wish.all || filters.has('status') || filters.has('exited');
  return containers
    .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
    .slice(0, wish.last)
    .filter((container) => matches(filters, container, taskOf.get(container.id)))
    .filter(({ id }) => all || isAlive(taskOf.get(id)))
    .map((container) => toRow(container, taskOf.get(container.id), wish.trunc));
}

const isAlive = (task: TaskState | undefined): boolean =>
  task?.status === 'running' || task?.status.startsWith('paus') === true;

/** docker's words for a task's state. */
export function stateOf(task: TaskState | undefined): string {
  if (task === undefined || task.status === 'created') return 'created';
  return task.status === 'stopped' ? 'exited' : task.status;
}

function matches(filters: Filters, container: Container, task: TaskState | undefined): boolean {
  const state = stateOf(task);
  return (
    passes(filters, 'id', (value) => container.id.startsWith(value)) &&
    passes(filters, 'name', (value) => nameOf(container).includes(value)) &&
    passes(filters, 'status', (value) => value === state) &&
    passes(filters, 'ancestor', (value) => isImage(container.image, value)) &&
    passes(filters, 'exited', (value) => state === 'exited' && String(task?.exitCode) === value) &&
    hasLabels(filters, container.labels)
  );
}

function isImage(image: string, wanted: string): boolean {
  const { repository, tag } = splitName(image);
  return [image, repository, `${repository}:${tag}`].includes(wanted);
}

/** Exported for tests. */
export function toRow(
  container: Container,
  task: TaskState | undefined,
  trunc: boolean,
  now = Date.now(),
): ContainerRow {
  const { repository, tag } = splitName(container.image);
  const command = commandOf(container).join(' ');
  return {
    ID: trunc ? container.id.slice(0, 12) : container.id,
    Image: tag === '<none>' || tag === 'latest' ? repository : `${repository}:${tag}`,
    Command: `"${trunc ? cut(command, 20) : command}"`,
    CreatedAt: container.createdAt.toISOString(),
    RunningFor: ago(container.createdAt, now),
    State: stateOf(task),
    Status: statusText(container, task, now),
    Names: nameOf(container),
    Labels: container.labels,
    Pid: task?.pid ?? 0,
    Runtime: container.runtime.name,
  };
}

function statusText(container: Container, task: TaskState | undefined, now: number): string {
  const state = stateOf(task);
  if (state === 'exited' && task !== undefined) return `Exited (${task.exitCode}) ${ago(task.exitedAt, now)}`;
  if (state === 'running') return `Up ${humanDuration(now - startedAt(container).getTime())}`;
  if (state === 'paused') return `Up ${humanDuration(now - startedAt(container).getTime())} (Paused)`;
  return `${state.slice(0, 1).toUpperCase()}${state.slice(1)}`;
}

/** `berth start` notes when it starts a container again; before that it runs since it was made. */
function startedAt(container: Container): Date {
  const noted = new Date(container.labels[containerLabels.startedAt] ?? '');
  return Number.isNaN(noted.getTime()) ? container.createdAt : noted;
}
