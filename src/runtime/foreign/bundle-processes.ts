import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { namesInSync } from '../../sys/names-in.ts';
import { signalProcess } from '../../sys/process.ts';

const SIGKILL = 9;
const endMs = 2_000;

/**
 * Ends shims that were started in a bundle: their working directory is the bundle, and nobody else's is. A shim of a
 * group stays in the bundle of its first task, so the other tasks of the group do not end it.
 */
export async function endProcessesIn(bundle: string): Promise<void> {
  const until = Date.now() + endMs;
  for (let pids = processesIn(bundle); pids.length > 0 && Date.now() < until; pids = processesIn(bundle)) {
    for (const pid of pids) signalProcess(pid, SIGKILL);
    await sleep(5);
  }
}

/** Processes whose working directory is `directory`. */
export const processesIn = (directory: string): number[] =>
  namesInSync('/proc')
    .filter((name) => /^\d+$/.test(name) && workingDirectory(name) === directory)
    .map(Number);

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
