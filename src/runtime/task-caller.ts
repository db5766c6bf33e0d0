import type { Task } from '../gen/containerd/task/v3/task_pb.ts';
import type { UnaryServiceClient } from '../rpc/unary-client.ts';
import type { TaskExit } from './task.ts';

/** containerd's task API as a shim serves it. */
export type TaskClient = UnaryServiceClient<typeof Task>;

/** Whoever runs a task, berth-shim or a shim of others. The `id` of a call is the task's, for errors. */
export interface TaskCaller {
  /** A call that changes something is made once: whether a shim that went away did it cannot be known. */
  change<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T>;
  /** A call that only looks is made again when the shim went away meanwhile. */
  look<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T>;
  /** Resolves when the shim has died and taken the task along; absent where a task outlives its shim. */
  readonly gone?: Promise<TaskExit>;
  /** Lets go of a shim that was there for a task which is deleted. Never throws. */
  leave(): Promise<void>;
}
