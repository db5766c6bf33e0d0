import type { BerthClient, Container, TaskState } from '../client/index.ts';
import { containerLabels } from '../oci/label-names.ts';
import { CliError } from './failure.ts';

/** Labels under which the clients of this field keep a container's name, ours first. */
const nameLabels = [containerLabels.name, 'nerdctl/name', 'io.kubernetes.container.name'];
const wellFormed = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** '' for a container without a name. */
export const nameOf = (container: Container): string =>
  nameLabels.map((label) => container.labels[label]).find((name) => name !== undefined && name !== '') ?? '';

/** How the container is called in messages. */
export const titleOf = (container: Container): string => nameOf(container) || container.id.slice(0, 12);

/**
 * The container with this name, this id, or the one id that starts so. Names come first, as in docker.
 * @throws CliError when there is none or more than one
 */
export async function findContainer(client: BerthClient, text: string): Promise<Container> {
  if (!wellFormed.test(text)) throw missing(text);
  const filters = [
    `labels."${containerLabels.name}"==${text}`,
    `labels."nerdctl/name"==${text}`,
    `id~="^${text}"`,
  ];
  return choose(await client.containers.list(filters), text);
}

/** @throws CliError; exported for tests */
export function choose(candidates: readonly Container[], text: string): Container {
  const exact = candidates.find(({ id }) => id === text) ?? candidates.find((one) => nameOf(one) === text);
  if (exact !== undefined) return exact;
  const [first, ...others] = candidates.filter(({ id }) => id.startsWith(text));
  if (first === undefined) throw missing(text);
  if (others.length === 0) return first;
  const ids = [first, ...others].slice(0, 5).map(({ id }) => id.slice(0, 16));
  throw new CliError(`container prefix ${text} is ambiguous: ${ids.join(', ')}`, {
    hint: 'give more digits, or the name',
  });
}

const missing = (text: string): CliError =>
  new CliError(`no container is called ${JSON.stringify(text)}`, { hint: 'list containers: berth ps -a' });

/** For commands that need a running container. */
export const notRunning = (container: Container, exitCode: number): CliError =>
  new CliError(`container ${titleOf(container)} is not running`, {
    exitCode,
    hint: `start it: berth start ${titleOf(container)}`,
  });

/** The state of the container's task; undefined when it has none. */
export async function findTask(client: BerthClient, id: string): Promise<TaskState | undefined> {
  const { isKind } = await import('../client/index.ts');
  try {
    return await client.tasks.get(id);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

/** Does something to each named container; one failure does not keep the others from their turn. */
export async function forEachContainer(
  client: BerthClient,
  names: readonly string[],
  work: (container: Container, name: string) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      await work(await findContainer(client, name), name);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) {
    const messages = failures.map((error) => (error instanceof Error ? error.message : String(error)));
    throw new CliError(messages.join('\n'), { cause: failures[0] });
  }
}
