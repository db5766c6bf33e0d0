import { randomBytes } from 'node:crypto';
import { dataLoss } from '../errors/error.ts';
import { Snapshots } from '../gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { Tasks as TasksService } from '../gen/containerd/services/tasks/v1/tasks_pb.ts';
import { Status, type Process as WireProcess } from '../gen/containerd/v1/types/types_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { CallOptions, Connection } from './connection.ts';
import type { ProcessOptions, StdioPaths } from './container-options.ts';
import type { Containers } from './containers.ts';
import { toDate, toDescriptor } from './convert.ts';
import { type Process, processHandle } from './process.ts';
import { toMount } from './snapshots.ts';
import { type TaskStats, toStats } from './stats.ts';
import { openStdio, type Stdio } from './stdio.ts';

/** What a process is doing. */
export type TaskStatus = 'unknown' | 'created' | 'running' | 'stopped' | 'paused' | 'pausing';

/** The state of a process as the daemon reports it; exit fields mean something only when stopped. */
export interface TaskState {
  readonly containerId: string;
  readonly pid: number;
  readonly status: TaskStatus;
  readonly terminal: boolean;
  readonly exitCode: number;
  readonly exitedAt: Date;
  /** Paths or URIs that the process was created with. */
  readonly stdio: StdioPaths;
}

/** Which streams to connect. All default to false; with a terminal stderr is part of stdout. */
export interface StreamOptions {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
}

/** How to make a task: its streams and its root. */
export interface TaskOptions extends StreamOptions, CallOptions {
  /** As the container was created. */
  readonly terminal?: boolean;
  /** Where stdout and stderr go instead of to the client. */
  readonly logUri?: string;
  /** Root file system; default: the mounts of the container's snapshot. */
  readonly rootfs?: readonly Mount[];
  /** Of {@link Checkpoints.restore}: `start` brings these processes back. */
  readonly checkpoint?: Descriptor;
}

/** Another process of a task: what to run, and its streams. */
export interface ExecOptions extends StreamOptions, ProcessOptions, CallOptions {
  /** Default: made up. */
  readonly execId?: string;
}

/** The running side of containers. */
export interface Tasks {
  /** Makes the task of a container; `start` on the result runs it. @throws already_exists, not_found */
  create(containerId: string, options?: TaskOptions): Promise<Process>;
  /** Makes another process in a running container; `start` on the result runs it. */
  exec(containerId: string, options: ExecOptions): Promise<Process>;
  /** A handle to the task without its streams. No call is made. */
  process(containerId: string, execId?: string): Process;
  /** A handle to a running task with those of its streams that go through FIFOs. @throws not_found */
  attach(containerId: string, options?: StreamOptions & CallOptions): Promise<Process>;
  /** @throws not_found */
  get(containerId: string, options?: CallOptions): Promise<TaskState>;
  list(options?: CallOptions): Promise<TaskState[]>;
  pause(containerId: string, options?: CallOptions): Promise<void>;
  resume(containerId: string, options?: CallOptions): Promise<void>;
  /** What these tasks, or all of the namespace, have used until now. Those that have none are left out. */
  stats(containerIds?: readonly string[], options?: CallOptions): Promise<TaskStats[]>;
  /** Process ids on the host. */
  pids(containerId: string, options?: CallOptions): Promise<number[]>;
}

const statuses: Readonly<Record<number, TaskStatus>> = {
  [Status.CREATED]: 'created',
  [Status.RUNNING]: 'running',
  [Status.STOPPED]: 'stopped',
  [Status.PAUSED]: 'paused',
  [Status.PAUSING]: 'pausing',
};

/** containerd names the container in `id` when it lists tasks and in `containerId` of execs. */
function fromWire(wire: WireProcess | undefined): TaskState {
  if (wire === undefined) throw dataLoss('daemon sent no process');
  return {
    containerId: wire.containerId === '' ? wire.id : wire.containerId,
    pid: wire.pid,
    status: statuses[wire.status] ?? 'unknown',
    terminal: wire.terminal,
    exitCode: wire.exitStatus,
    exitedAt: toDate(wire.exitedAt),
    stdio: { stdin: wire.stdin, stdout: wire.stdout, stderr: wire.stderr },
  };
}

const noStdio: Stdio = { [Symbol.dispose]: () => {} };
const isPath = (text: string): string => (text.startsWith('/') ? text : '');

/** The tasks of the connection's namespace. */
export function remoteTasks(connection: Connection, containers: Containers): Tasks {
  const service = connection.service(TasksService);
  const get = async (containerId: string, options?: CallOptions): Promise<TaskState> =>
    fromWire((await service.get({ containerId }, connection.unary(options))).process);
  return {
    create: (containerId, options = {}) => createTask(connection, containers, containerId, options),
    exec: (containerId, options) => createExec(connection, containers, containerId, options),
    process: (containerId, execId = '') => processHandle(connection, containerId, execId, noStdio),
    async attach(containerId, options = {}) {
      const { stdio } = await get(containerId, options);
      const wanted = {
        stdin: options.stdin === true ? isPath(stdio.stdin) : '',
        stdout: options.stdout === true ? isPath(stdio.stdout) : '',
        stderr: options.stderr === true ? isPath(stdio.stderr) : '',
      };
      return processHandle(connection, containerId, '', openStdio(wanted));
    },
    get,
    async list(options) {
      const response = await service.list({ filter: '' }, connection.unary(options));
      return response.tasks.map(fromWire);
    },
    async pause(containerId, options) {
      await service.pause({ containerId }, connection.unary(options));
    },
    async resume(containerId, options) {
      await service.resume({ containerId }, connection.unary(options));
    },
    async stats(containerIds = [], options) {
      const filters = containerIds.map((id) => `id==${id}`);
      const { metrics } = await service.metrics({ filters }, connection.unary(options));
      return metrics.flatMap(toStats);
    },
    async pids(containerId, options) {
      const response = await service.listPids({ containerId }, connection.unary(options));
      return response.processes.map(({ pid }) => pid);
    },
  };
}

async function createTask(
  connection: Connection,
  containers: Containers,
  containerId: string,
  options: TaskOptions,
): Promise<Process> {
  const { terminal = false, logUri = '' } = options;
  const paths = await pathsFor(containers, containerId, '', options, terminal);
  const stdio = openStdio(paths);
  try {
    const request = {
      containerId,
      terminal,
      rootfs: await rootfsOf(connection, containers, containerId, options),
      ...(options.checkpoint && { checkpoint: toDescriptor(options.checkpoint) }),
      stdin: paths.stdin,
      stdout: paths.stdout === '' ? logUri : paths.stdout,
      stderr: paths.stderr === '' && !terminal ? logUri : paths.stderr,
    };
    await connection.service(TasksService).create(request, connection.slow(options));
    return processHandle(connection, containerId, '', stdio);
  } catch (error) {
    stdio[Symbol.dispose]();
    throw error;
  }
}

async function createExec(
  connection: Connection,
  containers: Containers,
  containerId: string,
  options: ExecOptions,
): Promise<Process> {
  const { execId = randomBytes(16).toString('hex'), terminal = false } = options;
  const { args, env = [], workdir = '', user = '', privileged = false } = options;
  const spec = await containers.processSpec(
    containerId,
    { args, env, workdir, user, terminal, privileged },
    options,
  );
  const paths = await pathsFor(containers, containerId, execId, options, terminal);
  const stdio = openStdio(paths);
  try {
    const request = {
      containerId,
      execId,
      terminal,
      spec: { ...spec, value: Uint8Array.from(spec.value) },
      ...paths,
    };
    await connection.service(TasksService).exec(request, connection.slow(options));
    return processHandle(connection, containerId, execId, stdio);
  } catch (error) {
    stdio[Symbol.dispose]();
    throw error;
  }
}

async function pathsFor(
  containers: Containers,
  containerId: string,
  execId: string,
  streams: StreamOptions & CallOptions,
  terminal: boolean,
): Promise<StdioPaths> {
  const { stdin = false, stdout = false } = streams;
  const stderr = streams.stderr === true && !terminal;
  if (!stdin && !stdout && !stderr) return { stdin: '', stdout: '', stderr: '' };
  return containers.makeStdio(containerId, { execId, stdin, stdout, stderr }, streams);
}

async function rootfsOf(
  connection: Connection,
  containers: Containers,
  containerId: string,
  options: TaskOptions,
) {
  if (options.rootfs !== undefined) return options.rootfs.map(toMount);
  const { snapshotter, snapshotKey: key } = await containers.get(containerId, options);
  if (key === '') return [];
  const response = await connection
    .service(Snapshots)
    .mounts({ snapshotter, key }, connection.unary(options));
  return response.mounts;
}
