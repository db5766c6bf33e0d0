import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BerthClient, Container } from '../client/index.ts';
import { isKind } from '../errors/error.ts';
import { containerLabels, restartLabels } from '../oci/label-names.ts';
import { findTask } from './containers.ts';
import { parseSignal } from './parse/signal.ts';

/** The signal that asks a container to stop. */
export const ownSignal = ({ labels }: Container): number =>
  parseSignal(labels[containerLabels.stopSignal] || 'SIGTERM');

/** Tells the restart monitor to leave it stopped. */
export async function noteStop(client: BerthClient, { id, labels }: Container): Promise<void> {
  if (restartLabels.status in labels)
    await client.containers.label(id, { [restartLabels.explicitlyStopped]: 'true' });
}

/** Signals, waits and kills. A container that does not run is stopped already. `graceMs` below 0 waits for ever. */
export async function stopContainer(
  client: BerthClient,
  { id }: Container,
  signal: number,
  graceMs: number,
): Promise<void> {
  const task = await findTask(client, id);
  if (task === undefined || task.status === 'stopped') return;
  const target = client.tasks.process(id);
  const exit = goneIsFine(target.wait());
  await goneIsFine(target.kill(signal));
  if (task.status === 'paused') await goneIsFine(client.tasks.resume(id));
  if (graceMs < 0) return exit;
  const patience = new AbortController();
  const late = sleep(graceMs, 'late' as const, { signal: patience.signal }).catch(() => undefined);
  if ((await Promise.race([exit, late])) === 'late') {
    await goneIsFine(target.kill(constants.signals.SIGKILL, { all: true }));
    await exit;
  }
  patience.abort();
}

/** The container may end, or be removed with its task, at any moment. */
async function goneIsFine(work: Promise<unknown>): Promise<undefined> {
  try {
    await work;
  } catch (error) {
    if (!isKind(error, 'not_found') && !isKind(error, 'failed_precondition')) throw error;
  }
  return undefined;
}
