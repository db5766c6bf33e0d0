import { messageOf } from '../errors/error.ts';
import type { FoundFds } from './fd-store.ts';
import { endRuntimes, undoCreate } from './half-made.ts';
import { watchAgain } from './reaper.ts';
import { containerDirOf, finishStart } from './runtime-shortcuts.ts';
import type { Task } from './task.ts';
import type { TaskProcess } from './task-process.ts';
import type { ProcessRecord, TaskRecord, Telling } from './task-record.ts';

/**
 * Takes over what an earlier shim wrote down: processes are followed again, and their streams go on where they were.
 * The exit of one that ended meanwhile is the kernel's word or, where that cannot be had, said to be unknown.
 * @param found descriptors that the earlier shim kept, by {@link KeptFds.keyOf}
 */
export async function adoptProcesses(
  task: Task,
  { processes: records, telling, changing = false }: TaskRecord,
  found: ReadonlyMap<string, FoundFds>,
): Promise<void> {
  if (task.request.checkpoint !== undefined && records[0]?.pid === 0)
    return adoptUnrestored(task, records[0], telling);
  for (const record of records) {
    const fds = found.get(task.kept.keyOf(record.execId)) ?? new Map();
    if (record.execId === '') adoptProcess(task, task.init, record, fds);
    else if (record.pid !== 0)
      adoptProcess(task, task.addExec(record.execId, record, new Uint8Array()), record, fds);
  }
  retell(task, telling);
  if (changing && task.init.status !== 'stopped') await task.init.exclusive(() => askHowItEnded(task));
}

/** Created of a checkpoint: there is nothing to follow, and what a start left that nobody lived to see is undone. */
async function adoptUnrestored(
  task: Task,
  record: ProcessRecord,
  telling: Telling | undefined,
): Promise<void> {
  const { init, runtime, request } = task;
  init.restore(record);
  await endRuntimes(request.bundle);
  await undoCreate(runtime, request.id, request.bundle);
  retell(task, telling);
}

/** The event that was about to be told, where it was not. */
function retell(task: Task, telling: Telling | undefined): void {
  if (telling === undefined || telling.number <= task.around.events.lastNumber) return;
  const { what, execId } = telling;
  if (execId === '' || task.hasExec(execId)) task.tell(what, task.process(execId));
}

/** Whether a start, pause or resume came to pass that no shim lived to see. */
async function askHowItEnded(task: Task): Promise<void> {
  const { init, runtime, request } = task;
  const before = init.status;
  const isKnown = request.runtime.isRunc || request.runtime.isCrun;
  // Where the container is gone, it has run.
  const now = await runtime.state(request.id).catch(() => 'stopped');
  if (
    before === 'created' &&
    (now !== 'created' || (isKnown && finishStart(containerDirOf(request), init.pid)))
  ) {
    init.status = 'running';
    task.tell('started', init);
  }
  if (now === 'paused' && init.status === 'running') {
    init.status = 'paused';
    task.tell('paused', init);
  } else if (now === 'running' && init.status === 'paused') {
    init.status = 'running';
    task.tell('resumed', init);
  }
}

function adoptProcess(task: Task, process: TaskProcess, record: ProcessRecord, found: FoundFds): void {
  const exit = process.restore(record);
  if (exit !== undefined) {
    adoptUnread(task, process, record, found);
    return;
  }
  const watched = watchAgain(record.pid, BigInt(record.startTicks), found.get('pidfd'));
  process.setWatched(watched);
  // Terminals that nobody kept died with their shim.
  if (!record.terminal || found.has('terminal')) reopenStdio(task, process, found);
  task.kept.update(process, true);
  task.follow(process, watched);
}

/** It has ended, but what it wrote may still wait for its reader. */
function adoptUnread(task: Task, process: TaskProcess, record: ProcessRecord, found: FoundFds): void {
  found.get('pidfd')?.close();
  if (found.has('stdout') || found.has('stderr')) {
    // Of a terminal only its output is left.
    const paths = record.terminal ? { ...record, stdin: '', stderr: '', terminal: false } : record;
    reopenStdio(task, process, found, paths);
    void process.drain();
  }
  task.kept.update(process, true);
}

function reopenStdio(task: Task, process: TaskProcess, found: FoundFds, paths = process.paths): void {
  try {
    void task.openStdio(process, found, paths).started();
  } catch (error) {
    const { id } = task.request;
    task.around.log.warn({ id, error: messageOf(error) }, 'streams cannot be opened again');
  }
}
