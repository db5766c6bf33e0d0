import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failedPrecondition } from '../errors/error.ts';
import { SIGKILL, type Task } from './task.ts';
import { alreadyFinished, checkSignal, type TaskProcess } from './task-process.ts';
import type { ProcessStatus } from './task-record.ts';

/** Signals one process, or `all` of the container. @throws invalid_argument, not_found (has ended) */
export async function killTask(task: Task, execId: string, signal: number, all: boolean): Promise<void> {
  const { init } = task;
  checkSignal(signal);
  const process = task.process(execId);
  const isEnd = execId === '' || all;
  // One that waits for its restore has no process.
  if (isEnd && (init.status === 'stopped' || init.pid === 0)) throw alreadyFinished();
  const send = () => sendSignal(task, process, signal, all);
  await (isEnd ? task.ends.take(`signal ${signal}${all ? ' to all processes' : ''}`, send) : send());
  if (isEnd && signal === SIGKILL) void task.ends.escalate();
}

async function sendSignal(task: Task, process: TaskProcess, signal: number, all: boolean): Promise<void> {
  const { init, runtime, request } = task;
  if (!all && init.status !== 'paused') return process.signal(signal);
  if (init.status === 'stopped') throw alreadyFinished();
  await runtime.kill(request.id, signal, all).catch((refusal: unknown) => {
    // runsc signals nothing that was not started, which would be there for ever when its start has failed.
    if (signal !== SIGKILL || init.status !== 'created') throw refusal;
    init.signal(signal);
  });
  // A frozen process dies only once it runs again; runc sees to that, crun does not.
  if (signal === SIGKILL && init.status === 'paused') await runtime.resume(request.id).catch(() => {});
}

/** Freezes every process. @throws failed_precondition (not running) */
export const pauseTask = (task: Task): Promise<void> => change(task, 'pause', 'running', 'paused', 'paused');

/** @throws failed_precondition (not paused) */
export const resumeTask = (task: Task): Promise<void> =>
  change(task, 'resume', 'paused', 'running', 'resumed');

function change(
  task: Task,
  verb: 'pause' | 'resume',
  from: ProcessStatus,
  to: ProcessStatus,
  event: 'paused' | 'resumed',
): Promise<void> {
  const { init, runtime, request } = task;
  return init.exclusive(async () => {
    if (init.status !== from) throw failedPrecondition(refusal(verb, init.status));
    task.beforeChange();
    await runtime[verb](request.id);
    init.status = to;
    task.tell(event, init);
  });
}

/** In the words of containerd's shim. */
function refusal(verb: string, status: ProcessStatus): string {
  if (status === 'created') return `cannot ${verb} task in created state`;
  return `cannot ${verb} a ${status} ${status === 'running' ? 'process' : 'container'}`;
}

/** `resources`: JSON of the runtime specification's LinuxResources. @throws failed_precondition (has ended) */
export function updateTask({ init, runtime, request }: Task, resources: string): Promise<void> {
  return init.exclusive(async () => {
    if (init.status === 'stopped') throw failedPrecondition('cannot update a stopped container');
    const file = join(request.bundle, 'resources.json');
    writeFileSync(file, resources, { mode: 0o600 });
    await runtime.update(request.id, file);
  });
}

/** Pids in the container, as the host sees them. @throws failed_precondition (stopped) */
export function taskPids({ init, runtime, request }: Task): Promise<number[]> {
  if (init.status === 'stopped') throw failedPrecondition('container is stopped');
  return runtime.pids(request.id);
}
