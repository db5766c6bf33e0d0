import type { Any } from '../oci/any.ts';

/** containerd's states of a process. */
export type TaskStatus = 'unknown' | 'created' | 'running' | 'stopped' | 'paused' | 'pausing';

/** Where a process's streams go: FIFO paths, `file://`, `cri://` URIs; '' = nowhere. */
export interface TaskStdio {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** One process of a task: the container's first one, or an exec. */
export interface TaskState extends TaskStdio {
  readonly containerId: string;
  /** '' for the first process. */
  readonly execId: string;
  readonly pid: number;
  readonly status: TaskStatus;
  /** 0 until it has exited. 255 may also mean that nobody could know. */
  readonly exitStatus: number;
  readonly exitedAt: Date | undefined;
}

/** How and when a process ended. */
export interface TaskExit {
  readonly exitStatus: number;
  readonly exitedAt: Date;
}

/** What is left of a process that was deleted. */
/** Go's zero time, which containerd sends for a process that has not ended: clients ask `ExitTime.IsZero()`. */
export const notYet = new Date('0001-01-01T00:00:00Z');

export interface DeletedTask extends TaskExit {
  readonly pid: number;
}

/** What mount(2) takes, in the words of containerd.types.Mount. */
export interface RootfsMount {
  readonly type: string;
  readonly source: string;
  readonly target?: string;
  readonly options: readonly string[];
}

/** A task to make of a container. */
export interface NewTask extends TaskStdio {
  readonly containerId: string;
  /** Runtime specification, JSON. */
  readonly spec: Uint8Array;
  /** Mounted in order on the bundle's rootfs; none where spec.root.path is mounted by the client. */
  readonly rootfs: readonly RootfsMount[];
  /** containerd's name of a runtime, e.g. `io.containerd.runc.v2`, or a path. */
  readonly runtimeName: string;
  /** The sandbox whose shim is to run it; default: none. */
  readonly sandboxId?: string;
  /** containerd.runc.v1.Options. */
  readonly options?: Any | undefined;
  /** Directory of a checkpoint that the start restores; kept until then. */
  readonly checkpoint?: string | undefined;
}

/** Another process to register in a task. */
export interface NewExec extends TaskStdio {
  readonly execId: string;
  /** Process of the runtime specification, JSON. */
  readonly spec: Any;
}

/** One process in a container. */
export interface TaskPid {
  readonly pid: number;
  /** containerd.runc.v1.ProcessDetails for an exec. */
  readonly info?: Any | undefined;
}
