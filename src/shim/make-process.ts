import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OciRuntime, readPidFile } from './oci-runtime.ts';
import { PlainStdio } from './plain-stdio.ts';
import { type WatchedProcess, watchProcess } from './reaper.ts';
import type { ProcessStdio, StdioPaths, StdioPlace } from './stdio.ts';
import type { TaskProcess } from './task-process.ts';
import type { TaskRequest } from './task-record.ts';
import { TerminalStdio } from './terminal-stdio.ts';

/** Opens the streams of a process and gives them to it. */
export function openProcessStdio(process: TaskProcess, paths: StdioPaths, place: StdioPlace): ProcessStdio {
  const stdio = paths.terminal ? new TerminalStdio(paths, place) : new PlainStdio(paths, place);
  process.setStdio(stdio);
  return stdio;
}

/** What the names of a process's own FIFOs in the bundle begin with. */
export const stdioPrefix = (bundle: string, execId: string): string =>
  join(bundle, execId === '' ? 'init-' : `exec-${execId}-`);

/** Has the runtime make the container with its first process, stopped just before its program. */
export async function makeInit(
  runtime: OciRuntime,
  { id, bundle, options }: TaskRequest,
  stdio: ProcessStdio,
): Promise<WatchedProcess> {
  const pidFile = join(bundle, 'init.pid');
  await stdio.ready;
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
  await stdio.ready;
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
