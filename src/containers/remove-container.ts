import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind, unavailable } from '../errors/error.ts';
import type { Container } from '../metadata/container-store.ts';
import type { ContainerParts } from './parts.ts';
import { isAlive, type TaskControl, type TaskGlance } from './task-control.ts';

const SIGKILL = 9;
const killTimeoutMs = 10_000;

/** Ends and deletes the task; without `force` only one that has exited. @throws failed_precondition, unavailable (does not die) */
export async function removeTask(
  ctx: Context,
  { tasks }: ContainerParts,
  id: string,
  force: boolean,
): Promise<void> {
  const task = await tasks.find(ctx, id);
  if (task === undefined) return;
  if (isAlive(task) && !force)
    throw failedPrecondition(`container ${id} is ${task.status}: stop it first, or use force`);
  if (isAlive(task)) await killAndWait(ctx, tasks, id, task.status);
  await ignoreMissing(tasks.delete(ctx, id));
}

async function killAndWait(
  ctx: Context,
  tasks: TaskControl,
  id: string,
  status: TaskGlance['status'],
): Promise<void> {
  const deadline = AbortSignal.any([ctx.signal, AbortSignal.timeout(killTimeoutMs)]);
  const limited: Context = { ...ctx, signal: deadline };
  const exited = ignoreMissing(tasks.wait(limited, id));
  await ignoreMissing(tasks.kill(limited, id, SIGKILL));
  await letGo(limited, tasks, id, status);
  await Promise.race([exited, rejectAt(deadline, id)]);
}

/** Lets a frozen task go on, so that it can die of its signal; it may have died already. */
export async function letGo(
  ctx: Context,
  tasks: Pick<TaskControl, 'resume'>,
  id: string,
  status: TaskGlance['status'],
): Promise<void> {
  if (status !== 'paused' && status !== 'pausing') return;
  try {
    await ignoreMissing(tasks.resume(ctx, id));
  } catch (error) {
    if (!isKind(error, 'failed_precondition')) throw error;
  }
}

const rejectAt = (signal: AbortSignal, id: string): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => reject(unavailable(`container ${id} did not die in ${killTimeoutMs / 1000} s`));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });

/** Removes the snapshot a container writes to. Idempotent. */
export async function removeSnapshot(
  ctx: Context,
  parts: ContainerParts,
  container: Container,
): Promise<void> {
  const snapshotter = parts.snapshotters.get(container.snapshotter);
  if (snapshotter === undefined || container.snapshotKey === '') return;
  await ignoreMissing(snapshotter.remove(ctx, container.snapshotKey));
}

/** Waits; not_found is as good as done. */
export async function ignoreMissing(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (!isKind(error, 'not_found')) throw error;
  }
}
