import { alreadyExists, failedPrecondition } from '../errors/error.ts';
import { rouseCgroupMoves } from '../sys/cgroup-migration.ts';
import { checkIdentifier } from './identifier.ts';
import { refuseMagicExec } from './led-astray.ts';
import { makeExec, removeExecFiles } from './make-process.ts';
import { unknownExitStatus } from './reaper.ts';
import type { StdioPaths } from './stdio.ts';
import { SIGKILL, type Task } from './task.ts';
import type { TaskProcess } from './task-process.ts';

/** Registers another process; it starts later. @throws already_exists, failed_precondition (paused, stopped) */
export function addExec(task: Task, execId: string, paths: StdioPaths, spec: Uint8Array): TaskProcess {
  checkIdentifier(`invalid exec id ${execId.slice(0, 100)}: identifier`, execId);
  if (task.hasExec(execId)) throw alreadyExists(`id ${execId}`);
  const { status } = task.init;
  if (status === 'paused' || status === 'stopped')
    throw failedPrecondition(`cannot exec in a ${status} state`);
  refuseMagicExec(spec);
  void rouseCgroupMoves();
  const process = task.addExec(execId, paths, spec);
  process.status = 'created';
  task.around.events.execAdded(task, execId);
  return process;
}

/** @throws not_found, failed_precondition (has been started), unknown (the runtime's words) */
export function startExec(task: Task, execId: string): Promise<void> {
  const { process, spec } = task.exec(execId);
  return process.exclusive(async () => {
    if (process.status !== 'created' || process.pid !== 0)
      throw failedPrecondition(`cannot start a ${process.status} process`);
    try {
      await runExec(task, process, spec);
    } catch (error) {
      task.close(process);
      process.finish({ status: unknownExitStatus, at: new Date() });
      throw error;
    }
  });
}

/** Forgets an exec that does not run. @throws not_found, failed_precondition (still running) */
export async function deleteExec(task: Task, execId: string): Promise<TaskProcess> {
  const { process } = task.exec(execId);
  await process.exclusive(async () => {
    if (process.status === 'running') throw failedPrecondition('cannot delete a running process');
    task.close(process);
    task.removeExec(execId);
    removeExecFiles(task.request.bundle, execId);
  });
  return process;
}

async function runExec(task: Task, process: TaskProcess, spec: Uint8Array): Promise<void> {
  void rouseCgroupMoves();
  await using undo = new AsyncDisposableStack();
  const stdio = task.openStdio(process);
  const watched = await makeExec(task.request, process.execId, spec, stdio);
  undo.defer(() => {
    watched.signal(SIGKILL);
    watched[Symbol.dispose]();
  });
  await stdio.started();
  undo.move();
  task.made(process, watched);
  process.status = 'running';
  task.tell('execStarted', process);
}
