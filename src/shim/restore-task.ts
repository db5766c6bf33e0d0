import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readNotes } from './checkpoint-notes.ts';
import { requireCriu } from './criu.ts';
import { withCriuLog } from './criu-log.ts';
import { giveStreams } from './criu-streams.ts';
import { undoCreate } from './half-made.ts';
import { readPidFile } from './oci-runtime.ts';
import { type WatchedProcess, watchProcess } from './reaper.ts';
import type { ProcessStdio } from './stdio.ts';
import { SIGKILL, type Task } from './task.ts';

/**
 * Starts a task that was created of the checkpoint in a directory: its processes come back and run. All or nothing:
 * after a failure it can be started again.
 * @throws failed_precondition (no criu), invalid_argument (the checkpoint), unknown (criu's words)
 */
export async function restoreTask(task: Task, checkpoint: string): Promise<void> {
  const { request, init, runtime } = task;
  const version = await requireCriu(request.runtime.file);
  const { streams, flags } = readNotes(checkpoint);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => task.close(init));
  const stdio = task.openStdio(init);
  await stdio.ready;
  giveStreams(request.bundle, streams, stdio.runtimeStdio);
  undo.defer(() => undoCreate(runtime, request.id, request.bundle));
  const watched = await runRestore(task, stdio, ['--image-path', checkpoint, ...flags], version);
  undo.defer(() => {
    watched.signal(SIGKILL);
    watched[Symbol.dispose]();
  });
  await stdio.started();
  undo.move();
  task.made(init, watched);
}

async function runRestore(
  { runtime, request }: Task,
  { runtimeStdio, consoleSocket }: ProcessStdio,
  flags: readonly string[],
  version: string,
): Promise<WatchedProcess> {
  const { id, bundle, parentCheckpoint = '', options } = request;
  const { criuWorkPath, noPivotRoot } = options;
  const pidFile = join(bundle, 'init.pid');
  const work = criuWorkPath === '' ? join(bundle, 'criu-work') : criuWorkPath;
  const parent = parentCheckpoint === '' ? [] : ['--parent-path', parentCheckpoint];
  // The shim is the subreaper; crun knows no such word.
  const reaper = request.runtime.isRunc ? ['--no-subreaper'] : [];
  try {
    const place = { bundle, pidFile, stdio: runtimeStdio, consoleSocket, noPivotRoot };
    await runtime.restore(id, place, [...flags, '--work-path', work, ...parent, ...reaper]);
    return watchProcess(readPidFile(pidFile));
  } catch (error) {
    throw withCriuLog(error, join(work, 'restore.log'), join(bundle, 'criu-restore.log'), version);
  } finally {
    if (criuWorkPath === '') rmSync(work, { recursive: true, force: true });
  }
}
