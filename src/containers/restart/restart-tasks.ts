import type { Context } from '../../async/context.ts';
import { failedPrecondition } from '../../errors/error.ts';
import type { Container } from '../../metadata/container-store.ts';
import type { Any } from '../../oci/any.ts';
import { restartLabels } from '../../oci/label-names.ts';
import type { Mount, Snapshotter } from '../../snapshots/snapshotter.ts';
import { ignoreMissing, letGo } from '../remove-container.ts';
import type { TaskGlance } from '../task-control.ts';

const SIGKILL = 9;
/** How long a killed task may take to end, and a start to succeed. */
export const changeMs = 120_000;

/** What restarting needs of tasks (the runtime's `Tasks` is one); the namespace is the context's. */
export interface RestartTasks {
  list(ctx: Context): Promise<readonly (Pick<TaskGlance, 'status'> & { readonly containerId: string })[]>;
  find(ctx: Context, id: string): Promise<(TaskGlance & { readonly exitStatus: number }) | undefined>;
  create(ctx: Context, task: RestartedTask): Promise<number>;
  start(ctx: Context, id: string): Promise<number>;
  kill(ctx: Context, id: string, signal: number, target?: { all?: boolean }): Promise<void>;
  resume(ctx: Context, id: string): Promise<void>;
  wait(ctx: Context, id: string): Promise<unknown>;
  delete(ctx: Context, id: string): Promise<unknown>;
}

/** A task as it is made anew. */
interface RestartedTask {
  readonly containerId: string;
  readonly spec: Uint8Array;
  readonly rootfs: readonly Mount[];
  readonly runtimeName: string;
  readonly options?: Any | undefined;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** Ends what runs, all of it, and deletes the task. Idempotent. @throws what the shim answers; the context's deadline */
export async function endTask(ctx: Context, tasks: RestartTasks, id: string): Promise<void> {
  const task = await tasks.find(ctx, id);
  if (task === undefined) return;
  if (task.status !== 'stopped') {
    const ended = ignoreMissing(tasks.wait(ctx, id));
    ended.catch(() => {});
    await ignoreMissing(tasks.kill(ctx, id, SIGKILL, { all: true }));
    await letGo(ctx, tasks, id, task.status);
    await ended;
  }
  await ignoreMissing(tasks.delete(ctx, id));
}

/** A new task of a container that has none, writing where its label says. @throws what the shim answers; nothing is left then */
export async function startTask(
  ctx: Context,
  tasks: RestartTasks,
  snapshotters: ReadonlyMap<string, Snapshotter>,
  container: Container,
): Promise<void> {
  const { id, spec, runtime, labels } = container;
  if (spec === undefined) throw failedPrecondition(`container ${id} has no runtime spec`);
  const logUri = labels[restartLabels.logUri] ?? '';
  await tasks.create(ctx, {
    containerId: id,
    spec: spec.value,
    rootfs: await rootfsOf(ctx, snapshotters, container),
    runtimeName: runtime.name,
    options: runtime.options,
    stdin: '',
    stdout: logUri,
    stderr: logUri,
    terminal: hasTerminal(spec.value),
  });
  try {
    await tasks.start(ctx, id);
  } catch (error) {
    await endTask(ctx, tasks, id).catch(() => {});
    throw error;
  }
}

async function rootfsOf(
  ctx: Context,
  snapshotters: ReadonlyMap<string, Snapshotter>,
  { snapshotter, snapshotKey }: Container,
): Promise<readonly Mount[]> {
  if (snapshotKey === '') return [];
  const found = snapshotters.get(snapshotter);
  if (found === undefined) throw failedPrecondition(`snapshotter ${snapshotter} is not there`);
  return found.mounts(ctx, snapshotKey);
}

function hasTerminal(spec: Uint8Array): boolean {
  const { process } = JSON.parse(Buffer.from(spec).toString()) as { process?: { terminal?: unknown } };
  return process?.terminal === true;
}

/** Whether a task should be left to whoever is at work on it: frozen on purpose, or out of reach. */
export const isHeld = (status: TaskGlance['status'] | undefined): boolean =>
  status === 'paused' || status === 'pausing' || status === 'unknown';
