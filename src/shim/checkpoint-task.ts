import { mkdirSync, rmSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { failedPrecondition, invalidArgument } from '../errors/error.ts';
import { saveNotes, sharedFlags } from './checkpoint-notes.ts';
import { requireCriu } from './criu.ts';
import { withCriuLog } from './criu-log.ts';
import { nameStreams } from './criu-streams.ts';
import type { CheckpointOptions } from './runtime-options.ts';
import type { Task } from './task.ts';

const cgroupsModes = new Set(['', 'soft', 'full', 'strict', 'ignore']);

/**
 * Has criu write the processes of a task to the directory `path`. They run on, or with `exit` end by SIGKILL; a paused
 * task stays paused. @throws failed_precondition (not running, no criu), invalid_argument, unknown (criu's words)
 */
export function checkpointTask(task: Task, path: string, options: CheckpointOptions): Promise<void> {
  const { init } = task;
  if (!isCleanPath(path) || (options.workPath !== '' && !isCleanPath(options.workPath)))
    throw invalidArgument('paths of a checkpoint must be absolute');
  if (!cgroupsModes.has(options.cgroupsMode)) throw invalidArgument(`cgroups mode ${options.cgroupsMode}`);
  return init.exclusive(async () => {
    if (init.status !== 'running' && init.status !== 'paused')
      throw failedPrecondition(`cannot checkpoint a ${init.status} container`);
    const version = await requireCriu(task.request.runtime.file);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    await writeImages(task, path, options, version);
  });
}

async function writeImages(
  { runtime, request, init }: Task,
  path: string,
  options: CheckpointOptions,
  version: string,
): Promise<void> {
  const work = options.workPath === '' ? join(request.bundle, 'criu-work') : options.workPath;
  const streams = nameStreams(request.bundle, init.pid);
  const flags = sharedFlags(options);
  const once = [
    ...(options.cgroupsMode === '' ? [] : [`--manage-cgroups-mode=${options.cgroupsMode}`]),
    ...(options.exit ? [] : ['--leave-running']),
  ];
  try {
    saveNotes(path, { streams, flags });
    await runtime.checkpoint(request.id, ['--image-path', path, '--work-path', work, ...flags, ...once]);
  } catch (error) {
    throw withCriuLog(error, join(work, 'dump.log'), join(request.bundle, 'criu-dump.log'), version);
  } finally {
    if (options.workPath === '') rmSync(work, { recursive: true, force: true });
  }
}

const isCleanPath = (path: string): boolean => isAbsolute(path) && !path.includes('\0');
