import { failedPrecondition } from '../errors/error.ts';
import { rouseCgroupMoves } from '../sys/cgroup-migration.ts';
import { undoCreate } from './half-made.ts';
import { makeInit } from './make-process.ts';
import { restoreTask } from './restore-task.ts';
import { containerDirOf, startCrun, startRunc } from './runtime-shortcuts.ts';
import type { Task } from './task.ts';
import { removeRecord } from './task-record.ts';
import {
  hasPoststartHooks,
  mountRootfs,
  refuseLedAstray,
  refuseUnrestorable,
  unmountRootfs,
} from './task-rootfs.ts';

/**
 * Mounts the root, opens the streams and has the runtime make the container; of a checkpoint, mounts the root only.
 * All or nothing.
 */
export function createTask(task: Task): Promise<void> {
  const { request, init, runtime } = task;
  void rouseCgroupMoves();
  return init.exclusive(async () => {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => removeRecord(request.bundle));
    task.save();
    undo.defer(() => unmountRootfs(request));
    await mountRootfs(request);
    refuseLedAstray(request.bundle);
    if (request.checkpoint !== undefined) {
      refuseUnrestorable(request.bundle);
      undo.move();
      init.status = 'created';
      return task.tell('created', init);
    }
    undo.defer(() => task.close(init));
    const stdio = task.openStdio(init);
    undo.defer(() => undoCreate(runtime, request.id, request.bundle));
    const watched = await makeInit(runtime, request, stdio);
    undo.defer(() => watched[Symbol.dispose]());
    await stdio.started();
    undo.move();
    task.made(init, watched);
    task.tell('created', init);
  });
}

/** @throws failed_precondition (not in state created), unknown (the runtime's words) */
export function startTask(task: Task): Promise<void> {
  const { init } = task;
  return init.exclusive(async () => {
    if (init.status !== 'created') throw failedPrecondition(`cannot start a ${init.status} process`);
    task.beforeChange();
    await startInit(task);
    init.status = 'running';
    task.tell('started', init);
  });
}

async function startInit(task: Task): Promise<void> {
  const { request, runtime, init } = task;
  if (request.checkpoint !== undefined) return restoreTask(task, request.checkpoint);
  const { isRunc, isCrun } = request.runtime;
  const dir = containerDirOf(request);
  if (isRunc && (await startRunc(dir, init.ended))) return;
  if (isCrun && !hasPoststartHooks(request.bundle) && startCrun(dir)) return;
  await runtime.start(request.id);
}
