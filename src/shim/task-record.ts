import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../errors/error.ts';
import { taskRecordFile } from '../rpc/ttrpc-shim.ts';
import type { Mount } from '../sys/mount.ts';
import type { RuntimePlace } from './oci-runtime.ts';
import type { RuntimeOptions } from './runtime-options.ts';
import type { StdioPaths } from './stdio.ts';

/** Everything known of a task before it is made. */
export interface TaskRequest extends StdioPaths {
  readonly namespace: string;
  readonly id: string;
  readonly bundle: string;
  /** OCI runtime: file, state directory, cgroup driver. */
  readonly runtime: RuntimePlace;
  readonly options: RuntimeOptions;
  /** What the shim mounts on rootfs/ in the bundle; none where the client has mounted the root itself. */
  readonly rootfs: readonly Mount[];
  /** Directory with criu's images: nothing is made before its start, which restores it from there. */
  readonly checkpoint?: string | undefined;
  /** Directory of the checkpoint that {@link checkpoint} goes on from. */
  readonly parentCheckpoint?: string | undefined;
}

/** What a new shim must know of a task to take it over, kept in the bundle and written before each side effect. */
export interface TaskRecord extends TaskRequest {
  readonly format: 1;
  readonly processes: readonly ProcessRecord[];
  /** The event that follows from this state: told, if the journal has come to its number. */
  readonly telling?: Telling | undefined;
  /** A change that the runtime was asked for; where it got to, the runtime knows. */
  readonly changing?: boolean;
}

/** An event about to be told. */
export interface Telling {
  readonly number: number;
  readonly what: 'created' | 'started' | 'execStarted' | 'exited' | 'paused' | 'resumed';
  readonly execId: string;
}

/** One process: the container's first one has an empty `execId`. */
export interface ProcessRecord extends StdioPaths {
  readonly execId: string;
  readonly status: ProcessStatus;
  /** 0: not made yet. */
  readonly pid: number;
  /** Clock ticks since boot, decimal; with the pid, names the process for good. */
  readonly startTicks: string;
  readonly stdinClosed: boolean;
  readonly exitStatus?: number;
  readonly exitedAtMs?: number;
}

/** creating ▶ created ▶ running ⇄ paused ▶ stopped; a task goes through all, an exec is never paused. */
export type ProcessStatus = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** Replaces the record as a whole. The state directory is gone after a reboot, so nothing is synced. */
export function writeRecord(record: TaskRecord): void {
  const path = join(record.bundle, taskRecordFile);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** undefined where there is none, or one of another format. */
export function readRecord(bundle: string): TaskRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(join(bundle, taskRecordFile), 'utf8')) as TaskRecord;
    return record.format === 1 ? record : undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether it was created of a checkpoint and has not been started: it has no process yet. */
export const waitsForRestore = ({ checkpoint, processes: [first] }: TaskRecord): boolean =>
  checkpoint !== undefined && first?.pid === 0 && first.status === 'created';

/** What was asked for, without what became of it. */
export function requestOf(record: TaskRecord): TaskRequest {
  const { format: _, processes: __, telling: ___, changing: ____, ...request } = record;
  return request;
}

/** Idempotent. */
export const removeRecord = (bundle: string): void => rmSync(join(bundle, taskRecordFile), { force: true });
