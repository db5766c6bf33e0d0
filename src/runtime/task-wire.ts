import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { StateResponse } from '../gen/containerd/task/v3/task_pb.ts';
import { Status } from '../gen/containerd/v1/types/types_pb.ts';
import type { ShimTask } from '../rpc/ttrpc-shim.ts';
import { notYet, type TaskExit, type TaskState, type TaskStatus } from './task.ts';

const statuses = new Map<number, TaskStatus>([
  [Status.CREATED, 'created'],
  [Status.RUNNING, 'running'],
  [Status.STOPPED, 'stopped'],
  [Status.PAUSED, 'paused'],
  [Status.PAUSING, 'pausing'],
]);

const statusOf = (status: number): TaskStatus => statuses.get(status) ?? 'unknown';

/** The shim's answer to State. */
export function stateOf(state: StateResponse): TaskState {
  const { id, execId, pid, stdin, stdout, stderr, terminal, exitStatus, exitedAt } = state;
  return {
    containerId: id,
    execId,
    pid,
    status: statusOf(state.status),
    stdin,
    stdout,
    stderr,
    terminal,
    exitStatus,
    exitedAt: exitedAt === undefined ? undefined : timestampDate(exitedAt),
  };
}

/** One row of the shim's list. */
export function stateOfListed(task: ShimTask): TaskState {
  const { id, pid, stdin, stdout, stderr, terminal, exitStatus, exitedAtMs } = task;
  return {
    containerId: id,
    execId: '',
    pid,
    status: statusOf(task.status),
    stdin,
    stdout,
    stderr,
    terminal,
    exitStatus,
    exitedAt: exitedAtMs === undefined ? undefined : new Date(exitedAtMs),
  };
}

export const exitOf = (exit: { exitStatus: number; exitedAt?: Timestamp | undefined }): TaskExit => ({
  exitStatus: exit.exitStatus,
  exitedAt: exit.exitedAt === undefined ? notYet : timestampDate(exit.exitedAt),
});
