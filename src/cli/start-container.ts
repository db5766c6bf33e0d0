import type { BerthClient, Container } from '../client/index.ts';
import { containerLabels, restartLabels } from '../oci/label-names.ts';
import { findTask } from './containers.ts';
import { hasTerminal } from './spec.ts';

/** Clears a task that has ended. @returns false when the container runs already */
export async function prepareStart(client: BerthClient, { id }: Container): Promise<boolean> {
  const task = await findTask(client, id);
  if (task === undefined) return true;
  if (task.status === 'stopped' || task.status === 'created') {
    await client.tasks.process(id).delete();
    return true;
  }
  return false;
}

/** Writes down when its task was last started, and that nobody keeps it stopped any more. */
export async function noteStart(client: BerthClient, { id, labels }: Container): Promise<void> {
  const restarts = restartLabels.status in labels && {
    [restartLabels.status]: 'running',
    [restartLabels.explicitlyStopped]: 'false',
  };
  await client.containers.label(id, { [containerLabels.startedAt]: new Date().toISOString(), ...restarts });
}

/** Starts a container that has no task, with its output in its logs. */
export async function startDetached(client: BerthClient, container: Container): Promise<void> {
  const logUri = container.labels[containerLabels.logs] ?? '';
  using task = await client.tasks.create(container.id, { logUri, terminal: hasTerminal(container) });
  await task.start();
  await noteStart(client, container);
}
