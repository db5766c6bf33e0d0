import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { taskRecordFile } from '../../rpc/ttrpc-shim.ts';
import type { TaskState } from '../task.ts';
import type { Finding } from './finding.ts';

/** A task that berth-shim and its bundle do not agree on; in doubt, so it is left. */
export const oddTask = (key: string, why: string): Finding => ({
  kind: 'record',
  what: `task ${key}`,
  why,
  repaired: false,
});

/** Whether berth-shim has or makes a task in a bundle. */
export const hasOwnRecord = (bundle: string): boolean => existsSync(join(bundle, taskRecordFile));

/** What a bundle's record tells of its task while berth-shim does not answer: who it is, but not how it is doing. */
export function recordedTask(id: string, bundle: string): TaskState | undefined {
  try {
    const { processes } = JSON.parse(readFileSync(join(bundle, taskRecordFile), 'utf8')) as {
      processes: readonly { pid: number; stdin: string; stdout: string; stderr: string; terminal: boolean }[];
    };
    const [first] = processes;
    if (first === undefined) return undefined;
    const { pid, stdin, stdout, stderr, terminal } = first;
    const streams = { stdin, stdout, stderr, terminal };
    return {
      ...streams,
      containerId: id,
      execId: '',
      pid,
      status: 'unknown',
      exitStatus: 0,
      exitedAt: undefined,
    };
  } catch {
    return undefined;
  }
}
