import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';

/** What mount(2) takes, destination inside the container. Options: ro, rw, rbind, rprivate, size=…, mode=… */
export interface ContainerMount {
  readonly type: string;
  readonly source: string;
  readonly destination: string;
  readonly options?: readonly string[];
}

/** How to make a container. Only `image` is needed; absent numbers mean unlimited. */
export interface ContainerOptions {
  readonly image: string;
  /** Default: 64 random hexadecimal digits. */
  readonly id?: string;
  /** Unique in the namespace. Default: made up by the daemon. */
  readonly name?: string;
  /** Replaces the image's Cmd. */
  readonly args?: readonly string[];
  /** Replaces the image's Entrypoint and drops its Cmd. */
  readonly entrypoint?: string;
  /** `KEY=VALUE`, the last one wins. */
  readonly env?: readonly string[];
  readonly mounts?: readonly ContainerMount[];
  readonly workdir?: string;
  /** `user`, `uid`, `user:group` or `uid:gid`. */
  readonly user?: string;
  readonly terminal?: boolean;
  readonly readOnly?: boolean;
  readonly hostname?: string;
  /** Default: none. */
  readonly network?: 'host' | 'none';
  readonly memoryBytes?: number;
  /** Thousandths of a CPU. */
  readonly cpuMillis?: number;
  readonly pidsLimit?: number;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly privileged?: boolean;
  /** `io.containerd.…`, or the program of an OCI runtime (`crun`, a path). Default: io.containerd.runc.v2. */
  readonly runtime?: string;
  readonly runtimeOptions?: Any;
  readonly labels?: Readonly<Record<string, string>>;
  readonly snapshotter?: string;
  readonly stopSignal?: string;
  /** Keep stdout and stderr in a log file, for {@link Containers.logs}. */
  readonly logs?: boolean;
  /** Remove the container when its task exits. */
  readonly autoRemove?: boolean;
  readonly newPrivilegesAllowed?: boolean;
  /** Default: the daemon's profile. */
  readonly seccomp?: 'unconfined';
  /** `host[:container[:rwm]]`, or `vendor/class=name` of the Container Device Interface. */
  readonly devices?: readonly string[];
  /** Of the runtime specification; `cdi.k8s.io/…` names devices. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** `inside:outside:size`, several with commas between; both or none: a user namespace. */
  readonly uidMap?: string;
  readonly gidMap?: string;
}

/** Another process in a running container. */
export interface ProcessOptions {
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly terminal?: boolean;
  readonly privileged?: boolean;
}

/** Absolute paths of FIFOs; '' where not asked for. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** What of a container's logs to read. Default: all there is, then the end. */
export interface LogOptions {
  /** Go on with what is written from now. Default: false. */
  readonly follow?: boolean;
  /** Last lines only; 0: all; -1: none of the old ones. Default: 0. */
  readonly tail?: number;
  readonly since?: Date;
  readonly signal?: AbortSignal;
}

/** `data` has no newline, unless `partial`: then the line goes on in the next entry. */
export interface LogEntry {
  readonly time: Date;
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
  readonly partial: boolean;
}

/** The wire's form: empty where absent. */
export function toCreateRequest(options: ContainerOptions) {
  const { memoryBytes, cpuMillis, pidsLimit, runtimeOptions, mounts, ...rest } = options;
  return {
    ...rest,
    args: [...(options.args ?? [])],
    env: [...(options.env ?? [])],
    capAdd: [...(options.capAdd ?? [])],
    capDrop: [...(options.capDrop ?? [])],
    devices: [...(options.devices ?? [])],
    annotations: { ...options.annotations },
    labels: { ...options.labels },
    mounts: (mounts ?? []).map((mount) => ({ ...mount, options: [...(mount.options ?? [])] })),
    memoryBytes: BigInt(memoryBytes ?? 0),
    cpuMillis: BigInt(cpuMillis ?? 0),
    pidsLimit: BigInt(pidsLimit ?? 0),
    ...(runtimeOptions === undefined ? {} : { runtimeOptions: toAny(runtimeOptions) }),
  };
}

/** Limits to change; absent ones stay, 0 means unlimited. */
export interface LimitChanges {
  readonly memoryBytes?: number;
  /** Thousandths of a CPU. */
  readonly cpuMillis?: number;
  readonly pidsLimit?: number;
  /** Weight against others, 2 to 262144; 0: the kernel's default. */
  readonly cpuShares?: number;
  /** CPUs it may run on, such as `0-3,7`. */
  readonly cpusetCpus?: string;
}

/** The wire's form of changes. */
export function toLimits({ cpusetCpus, ...limits }: LimitChanges) {
  const changed = Object.entries(limits).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, BigInt(value)] as const],
  );
  return { ...Object.fromEntries(changed), ...(cpusetCpus !== undefined && { cpusetCpus }) };
}
