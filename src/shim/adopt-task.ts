import { messageOf } from '../errors/error.ts';
import { findMade } from './make-process.ts';
import { unknownExitStatus } from './reaper.ts';
import type { Task } from './task.ts';
import type { TaskProcess } from './task-process.ts';
import type { ProcessRecord } from './task-record.ts';

/**
 * Takes over what an earlier shim wrote down: processes that still run are followed again, by pid and start time;
 * the exit of one that is gone is published as unknown, never invented. Terminals died with their shim.
 */
export function adoptProcesses(task: Task, records: readonly ProcessRecord[]): void {
  for (const record of records) {
    if (record.execId === '') adoptProcess(task, task.init, record);
    else if (record.pid !== 0)
      adoptProcess(task, task.addExec(record.execId, record, new Uint8Array()), record);
  }
}

function adoptProcess(task: Task, process: TaskProcess, record: ProcessRecord): void {
  const exit = process.restore(record);
  if (exit !== undefined) return;
  const watched = findMade(record);
  if (watched === undefined) {
    task.exited(process, { status: unknownExitStatus, at: new Date() });
    return;
  }
  process.setWatched(watched);
  if (!process.paths.terminal) reopenStdio(task, process);
  task.follow(process, watched);
}

function reopenStdio(task: Task, process: TaskProcess): void {
  try {
    void task.openStdio(process).started();
  } catch (error) {
    const { id } = task.request;
    task.around.log.warn({ id, error: messageOf(error) }, 'streams cannot be opened again');
  }
}
