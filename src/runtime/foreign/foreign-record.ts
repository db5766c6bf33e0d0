import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ShimEndpoint } from './shim-answer.ts';

/** What a daemon must know of a task of another's shim to find it again, kept in the bundle, written before each step. */
export interface ForeignRecord {
  readonly format: 1;
  /** The shim's program, absolute. */
  readonly program: string;
  /** Absent until the shim has said where it serves. */
  readonly endpoint?: ShimEndpoint;
  /** Pid of the first process; 0 until the task is made. */
  readonly pid: number;
  /** The sandbox whose shim runs the task; its shim does not end with the task. */
  readonly sandboxId?: string;
  /** Of a sandbox: its exit has been published. */
  readonly isExitTold?: boolean;
}

const fileName = 'foreign-shim.json';

/** Whether the bundle belongs to another's shim. */
export const hasForeignRecord = (bundle: string): boolean => existsSync(join(bundle, fileName));

/** Replaces the record as a whole. The state directory is gone after a reboot, so nothing is synced. */
export function writeForeignRecord(bundle: string, record: ForeignRecord): void {
  const path = join(bundle, fileName);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** undefined where there is none that can be read. */
export function readForeignRecord(bundle: string): ForeignRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(join(bundle, fileName), 'utf8')) as ForeignRecord;
    return record.format === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}
