import { rm } from 'node:fs/promises';
import { failedPrecondition, messageOf } from '../errors/error.ts';
import { type ProcessExit, unknownExitStatus } from './reaper.ts';
import { containerDirOf, deleteContainer } from './runtime-shortcuts.ts';
import type { Task } from './task.ts';
import { removeRecord } from './task-record.ts';
import { plainCgroupOf, unmountRootfs } from './task-rootfs.ts';

/** How long a killed process may take to end before delete gives up. */
const killedExitMs = 10_000;

/** Removes a stopped task, or one that was never started, from runtime, mounts and disk. @throws failed_precondition */
export async function deleteTask(task: Task): Promise<ProcessExit> {
  const { init, request } = task;
  if (init.status === 'running' || init.status === 'paused' || init.status === 'creating')
    throw failedPrecondition(`failed to delete task: cannot delete a ${init.status} process`);
  const wasCreated = init.status === 'created';
  await deleteFromRuntime(task);
  if (wasCreated && init.pid !== 0) await init.wait(AbortSignal.timeout(killedExitMs));
  for (const process of task.processes) task.close(process);
  await unmountRootfs(request);
  const exit = init.exit ?? { status: unknownExitStatus, at: new Date() };
  task.around.events.deleted(task, exit);
  removeRecord(request.bundle);
  return exit;
}

async function deleteFromRuntime({ runtime, request, init }: Task): Promise<void> {
  const { isRunc, isCrun } = request.runtime;
  const isKnown = init.status === 'stopped' && (isRunc || isCrun);
  const cgroup = isKnown ? plainCgroupOf(request.bundle) : undefined;
  if (cgroup !== undefined && (await deleteContainer(containerDirOf(request), cgroup))) return;
  try {
    await runtime.delete(request.id);
  } catch (error) {
    if (/does not exist/.test(messageOf(error))) return;
    // The runtime waits in vain for one that was given up; its cgroup is removed when it has gone (reconcile).
    if (!init.lingers) throw error;
    await rm(containerDirOf(request), { recursive: true, force: true });
  }
}
