import { create } from '@bufbuild/protobuf';
import { type Any, AnySchema, anyPack, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { failedPrecondition, invalidArgument, messageOf } from '../errors/error.ts';
import { ProcessDetailsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { Task as TaskService } from '../gen/containerd/task/v3/task_pb.ts';
import { Status } from '../gen/containerd/v1/types/types_pb.ts';
import { bindService } from '../rpc/service.ts';
import { type RawService, rawService } from '../rpc/ttrpc-server.ts';
import { checkpointTask } from './checkpoint-task.ts';
import { killTask, pauseTask, resumeTask, taskPids, updateTask } from './control-task.ts';
import { startTask } from './make-task.ts';
import { cgroupMetrics } from './metrics.ts';
import { parseCheckpointOptions, parseRuntimeOptions } from './runtime-options.ts';
import type { Task } from './task.ts';
import { addExec, deleteExec, startExec } from './task-execs.ts';
import type { TaskProcess } from './task-process.ts';
import type { ProcessStatus } from './task-record.ts';
import type { TaskTable } from './task-table.ts';

/** containerd's word for each state. */
export const statusOf = {
  creating: Status.CREATED,
  created: Status.CREATED,
  running: Status.RUNNING,
  paused: Status.PAUSED,
  stopped: Status.STOPPED,
} as const satisfies Record<ProcessStatus, Status>;

/**
 * containerd's task API, versions 3 and 2 (the same messages under two names). One shim serves all namespaces: the
 * namespace comes with each call.
 */
export function taskServices(tasks: TaskTable): RawService[] {
  const v3 = rawService(taskService(tasks));
  return [v3, { ...v3, name: 'containerd.task.v2.Task' }];
}

function taskService(tasks: TaskTable) {
  return bindService(TaskService, {
    async create(request, ctx) {
      const { id, bundle, terminal, stdin, stdout, stderr } = request;
      const { checkpoint, parentCheckpoint } = request;
      const options = parseRuntimeOptions(request.options);
      const rootfs = request.rootfs.map(({ type, source, target, options: words }) => ({
        type,
        source,
        target,
        options: words,
      }));
      const asked = {
        ...{ id, bundle, terminal, stdin, stdout, stderr, options, rootfs },
        ...(checkpoint === '' ? {} : { checkpoint, parentCheckpoint }),
      };
      const task = await tasks.create(ctx, asked);
      return { pid: task.init.pid };
    },
    async start({ id, execId }, ctx) {
      const task = await tasks.get(ctx, id);
      await (execId === '' ? startTask(task) : startExec(task, execId));
      return { pid: task.process(execId).pid };
    },
    async delete({ id, execId }, ctx) {
      if (execId !== '') return ended(await deleteExec(await tasks.get(ctx, id), execId));
      const { exit, pid } = await tasks.delete(ctx, id);
      return { pid, exitStatus: exit.status, exitedAt: timestampFromDate(exit.at) };
    },
    async exec({ id, execId, terminal, stdin, stdout, stderr, spec }, ctx) {
      if (spec === undefined) throw invalidArgument('exec needs a process spec');
      checkProcessSpec(spec.value);
      addExec(await tasks.get(ctx, id), execId, { terminal, stdin, stdout, stderr }, spec.value);
      return {};
    },
    async state({ id, execId }, ctx) {
      return state(await tasks.get(ctx, id), execId);
    },
    async pids({ id }, ctx) {
      const task = await tasks.get(ctx, id);
      const pids = await taskPids(task);
      return { processes: pids.map((pid) => processInfo(task, pid)) };
    },
    async kill({ id, execId, signal, all }, ctx) {
      await killTask(await tasks.get(ctx, id), execId, signal, all);
      return {};
    },
    async resizePty({ id, execId, width, height }, ctx) {
      (await tasks.get(ctx, id)).process(execId).resize({ columns: width, rows: height });
      return {};
    },
    async closeIO({ id, execId, stdin }, ctx) {
      if (stdin) (await tasks.get(ctx, id)).closeStdin(execId);
      return {};
    },
    async wait({ id, execId }, ctx) {
      const exit = await (await tasks.get(ctx, id)).process(execId).wait(ctx.signal);
      return { exitStatus: exit.status, exitedAt: timestampFromDate(exit.at) };
    },
    async pause({ id }, ctx) {
      await pauseTask(await tasks.get(ctx, id));
      return {};
    },
    async resume({ id }, ctx) {
      await resumeTask(await tasks.get(ctx, id));
      return {};
    },
    async checkpoint({ id, path, options }, ctx) {
      await checkpointTask(await tasks.get(ctx, id), path, parseCheckpointOptions(options));
      return {};
    },
    async update({ id, resources }, ctx) {
      if (resources === undefined) throw invalidArgument('update needs resources');
      await updateTask(await tasks.get(ctx, id), Buffer.from(resources.value).toString());
      return {};
    },
    async stats({ id }, ctx) {
      const { init } = await tasks.get(ctx, id);
      if (init.status === 'stopped') throw failedPrecondition('container is stopped');
      return { stats: await cgroupMetrics(init.pid) };
    },
    async connect({ id }, ctx) {
      return { shimPid: process.pid, taskPid: (await tasks.get(ctx, id)).init.pid, version: 'v3' };
    },
    // Said after each task, as to a shim that has no other: this one may have, and ends in its own time.
    async shutdown() {
      return {};
    },
  });
}

/** Said when the process is added, as containerd does; the rest is the runtime's to judge when it starts. */
function checkProcessSpec(spec: Uint8Array): void {
  const parsed = parseJson(Buffer.from(spec).toString());
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw invalidArgument('process spec of an exec is not a JSON object');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidArgument(`process spec of an exec is not JSON: ${messageOf(error)}`, error);
  }
}

function state(task: Task, execId: string) {
  const process = task.process(execId);
  const { id, bundle } = task.request;
  return { ...process.paths, id, execId, bundle, status: statusOf[process.status], ...ended(process) };
}

function ended({ pid, exit }: TaskProcess) {
  if (exit === undefined) return { pid, exitStatus: 0 };
  return { pid, exitStatus: exit.status, exitedAt: timestampFromDate(exit.at) };
}

function processInfo(task: Task, pid: number): { pid: number; info?: Any } {
  const exec = task.execs.find((process) => process.pid === pid);
  if (exec === undefined) return { pid };
  const details = anyPack(ProcessDetailsSchema, create(ProcessDetailsSchema, { execId: exec.execId }));
  return { pid, info: create(AnySchema, { ...details, typeUrl: ProcessDetailsSchema.typeName }) };
}
