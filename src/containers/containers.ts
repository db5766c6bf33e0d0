import type { Context } from '../async/context.ts';
import type { Any } from '../oci/any.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { SpecMount } from '../oci/spec/runtime-spec.ts';

/**
 * Containers of images: what containerd leaves to its clients, done in the daemon.
 *
 *   create(image, …) ▶ snapshot + spec + record ─ (Tasks.Create, Start) ─ logs ─ remove
 *   makeStdio ▶ FIFOs ─ (Tasks.Create or Exec)      processSpec ▶ (Tasks.Exec)
 *
 * A container made here is an ordinary containerd record: any client can start, inspect and delete it.
 */
export interface Containers {
  /**
   * Makes a container; starts nothing; leaves nothing behind when it fails.
   * @throws not_found (image), already_exists (id, name), invalid_argument (any option),
   *   failed_precondition (an image whose /proc, /sys or /dev is not a directory)
   */
  create(ctx: Context, wanted: NewContainerOfImage): Promise<CreatedContainer>;
  /**
   * Removes task, snapshot, FIFOs, logs and record. Repeating it after a failure goes on where it stopped.
   * @throws not_found, failed_precondition (running or paused, and not `force`)
   */
  remove(ctx: Context, id: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Gives a container another name; its own is fine. @throws not_found, already_exists (name), invalid_argument (name) */
  rename(ctx: Context, id: string, name: string): Promise<void>;
  /**
   * Changes limits: of the task, where there is one, and of the record. When the record cannot be changed after the task
   * was, repeating it is safe. @throws not_found, invalid_argument, failed_precondition (no spec), unknown (what the kernel refuses)
   */
  update(ctx: Context, id: string, limits: LimitChanges): Promise<void>;
  /** Makes FIFOs for a process that is about to be created. They go with its exit, or after an hour without a task. @throws not_found */
  makeStdio(ctx: Context, wanted: WantedStdio): Promise<StdioPaths>;
  /** Spec of another process, for Tasks.Exec. @throws not_found, invalid_argument (user, args), failed_precondition (no spec) */
  processSpec(ctx: Context, wanted: WantedProcess): Promise<Any>;
  /**
   * Lines of a container that was made with `logs`, oldest first. `follow` waits for more until the task is gone.
   * @throws not_found, failed_precondition (keeps no logs)
   */
  logs(ctx: Context, wanted: WantedLogs): AsyncIterable<LogEntry>;
}

/** Absent, '' and 0 mean the default everywhere. */
export interface NewContainerOfImage {
  /** Default: 64 random hexadecimal digits. */
  readonly id?: string;
  /** Unique in the namespace; default: made up. */
  readonly name?: string;
  /** Name as recorded, familiar name, digest, or at least 6 digits of one. */
  readonly image: string;
  readonly args?: readonly string[];
  readonly entrypoint?: string | undefined;
  readonly env?: readonly string[];
  readonly mounts?: readonly SpecMount[];
  readonly workingDir?: string;
  /** Default: the image's. */
  readonly user?: string;
  readonly terminal?: boolean;
  readonly readOnly?: boolean;
  readonly hostname?: string;
  readonly network?: string;
  readonly memoryBytes?: number;
  readonly cpuMillis?: number;
  readonly pidsLimit?: number;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly privileged?: boolean;
  /** Default: io.containerd.runc.v2. */
  readonly runtime?: string;
  readonly runtimeOptions?: Any | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  readonly snapshotter?: string;
  readonly stopSignal?: string;
  readonly logs?: boolean;
  readonly autoRemove?: boolean;
  readonly newPrivilegesAllowed?: boolean;
  readonly seccomp?: string;
  /** `host[:container[:rwm]]`, or `vendor/class=name` of the Container Device Interface. */
  readonly devices?: readonly string[];
  /** Of the runtime specification; `cdi.k8s.io/…` names devices. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** `inside:outside:size`, several with commas between; both or none: a user namespace. */
  readonly uidMap?: string;
  readonly gidMap?: string;
  /** Make it again of a checkpoint: its own specification counts, not the words above that would build one. */
  readonly restored?: RestoredParts;
}

/** What a checkpoint keeps of a container beside its processes. */
export interface RestoredParts {
  /** Runtime specification, JSON. */
  readonly spec: Any;
  /** What it had written. */
  readonly layer?: Descriptor | undefined;
}

/** Limits to change; absent ones stay, 0 and '' mean unlimited. */
export interface LimitChanges {
  readonly memoryBytes?: number | undefined;
  readonly cpuMillis?: number | undefined;
  readonly pidsLimit?: number | undefined;
  /** Weight against others, 2 to 262144. */
  readonly cpuShares?: number | undefined;
  /** CPUs it may run on, such as `0-3,7`. */
  readonly cpusetCpus?: string | undefined;
}

/** What became of a create: id and name, given or made up. */
export interface CreatedContainer {
  readonly id: string;
  readonly name: string;
  /** For Tasks.Create as stdout and stderr; '' when logs were not asked for. */
  readonly logUri: string;
}

/** Streams that a client wants FIFOs for. */
export interface WantedStdio {
  readonly containerId: string;
  /** '' for the first process. */
  readonly execId: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** Absolute paths, '' where not asked for. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Another process in a container, as a person asks for it. */
export interface WantedProcess {
  readonly containerId: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  /** '': the container's own. */
  readonly user: string;
  readonly terminal: boolean;
  readonly privileged: boolean;
}

/** What of a container's logs to read. */
export interface WantedLogs {
  readonly containerId: string;
  readonly follow: boolean;
  /** Last lines only; 0: all, -1: none of the old ones. */
  readonly tail: number;
  readonly since?: LogTime | undefined;
}

/** Nanoseconds matter: lines of one millisecond keep their order. */
export interface LogTime {
  /** Since 1970. */
  readonly seconds: bigint;
  readonly nanos: number;
}

/** One line of a log, or a piece of a long one. */
export interface LogEntry {
  readonly time: LogTime;
  readonly stream: 'stdout' | 'stderr';
  /** Without the newline that ended it. */
  readonly data: Uint8Array;
  /** The line goes on in the next entry of the same stream. */
  readonly partial: boolean;
}
