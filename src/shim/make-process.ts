import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../errors/error.ts';
import { OciRuntime, readPidFile } from './oci-runtime.ts';
import { type WatchedProcess, watchProcess } from './reaper.ts';
import { openStdio, type ProcessStdio } from './stdio.ts';
import type { TaskProcess } from './task-process.ts';
import type { ProcessRecord, TaskRequest } from './task-record.ts';
import { openTerminalStdio } from './terminal-stdio.ts';

/** Opens the streams of a process and gives them to it. FIFOs of our own are in the bundle, named for the process. */
export function openProcessStdio(
  process: TaskProcess,
  bundle: string,
  consoleSocketPath: () => string,
): ProcessStdio {
  const prefix = process.execId === '' ? 'init-' : `exec-${process.execId}-`;
  const stdio = process.paths.terminal
    ? openTerminalStdio(process.paths, consoleSocketPath())
    : openStdio(process.paths, join(bundle, prefix));
  process.setStdio(stdio);
  return stdio;
}

/** Has the runtime make the container with its first process, stopped just before its program. */
export async function makeInit(
  runtime: OciRuntime,
  { id, bundle, options }: TaskRequest,
  stdio: ProcessStdio,
): Promise<WatchedProcess> {
  const pidFile = join(bundle, 'init.pid');
  await runtime.create(id, {
    bundle,
    pidFile,
    stdio: stdio.runtimeStdio,
    consoleSocket: stdio.consoleSocket,
    noPivotRoot: options.noPivotRoot,
    noNewKeyring: options.noNewKeyring,
  });
  return watchProcess(readPidFile(pidFile));
}

/** Has the runtime start another process in the container. `spec`: its process specification, JSON. */
export async function makeExec(
  { id, bundle, runtime }: TaskRequest,
  execId: string,
  spec: Uint8Array,
  stdio: ProcessStdio,
): Promise<WatchedProcess> {
  const [processFile, pidFile, logFile] = execFiles(bundle, execId);
  writeFileSync(processFile, spec, { mode: 0o600 });
  const { runtimeStdio, consoleSocket } = stdio;
  await new OciRuntime(runtime, logFile).exec(id, {
    processFile,
    pidFile,
    stdio: runtimeStdio,
    consoleSocket,
  });
  return watchProcess(readPidFile(pidFile));
}

/** What {@link makeExec} left in the bundle. Idempotent. */
export function removeExecFiles(bundle: string, execId: string): void {
  for (const file of execFiles(bundle, execId)) rmSync(file, { force: true });
}

/** Process spec, pid file and log of an exec, in the bundle. */
const execFiles = (bundle: string, execId: string): [string, string, string] => [
  join(bundle, `exec-${execId}.json`),
  join(bundle, `exec-${execId}.pid`),
  join(bundle, `exec-${execId}.log`),
];

/** The very process that was written down; undefined when it is gone. */
export function findMade({ pid, startTicks }: ProcessRecord): WatchedProcess | undefined {
  try {
    return watchProcess(pid, BigInt(startTicks));
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}
