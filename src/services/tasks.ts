import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import type { Context } from '../async/context.ts';
import { failedPrecondition, invalidArgument, isKind, messageOf } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { CheckpointOptionsSchema, OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import {
  type CreateTaskRequest,
  Tasks as TasksService,
} from '../gen/containerd/services/tasks/v1/tasks_pb.ts';
import { Status } from '../gen/containerd/v1/types/types_pb.ts';
import type { ContainerStore } from '../metadata/container-store.ts';
import type { Any } from '../oci/any.ts';
import { decodeAny, toAny, typeNameOf } from '../rpc/any.ts';
import type { ServiceBinding, ServiceImpl } from '../rpc/service.ts';
import { type DeletedTask, type NewTask, notYet, type TaskState, type TaskStatus } from '../runtime/task.ts';
import type { Tasks } from '../runtime/tasks.ts';
import type { CheckpointFiles } from '../transfer/checkpoint/checkpoint-files.ts';
import { fromWireDescriptor, toWireDescriptor } from './descriptor-wire.ts';
import { given, toTimestamp } from './wire.ts';

/** containerd's Tasks service over the shim's tasks. */
export function tasksService(
  tasks: Tasks,
  containers: ContainerStore,
  files: CheckpointFiles,
): ServiceBinding {
  // It looks for the container itself, and there is no task yet: what refuses it is the reason.
  const create: ServiceImpl<typeof TasksService> = {
    async create(request, ctx) {
      const { containerId } = request;
      const task = await newTaskOf(request, containers, ctx);
      const checkpoint = await checkpointOf(request, files, ctx);
      try {
        return { containerId, pid: await tasks.create(ctx, { ...task, checkpoint }) };
      } catch (error) {
        if (checkpoint !== undefined) await files.forget(ctx, containerId);
        throw error;
      }
    },
  };
  const others: ServiceImpl<typeof TasksService> = {
    async start({ containerId, execId }, ctx) {
      const pid = await tasks.start(ctx, containerId, execId);
      if (execId === '') await files.forget(ctx, containerId);
      return { pid };
    },
    async delete({ containerId }, ctx) {
      const deleted = await tasks.delete(ctx, containerId);
      await files.forget(ctx, containerId);
      return deletedToWire(containerId, deleted);
    },
    async deleteProcess({ containerId, execId }, ctx) {
      return deletedToWire(execId, await tasks.deleteExec(ctx, containerId, required(execId)));
    },
    async get({ containerId, execId }, ctx) {
      return { process: stateToWire(await tasks.get(ctx, containerId, execId)) };
    },
    async list(_request, ctx) {
      return { tasks: (await tasks.list(ctx)).map(stateToWire) };
    },
    async kill({ containerId, execId, signal, all }, ctx) {
      await tasks.kill(ctx, containerId, signal, { execId, all });
      return {};
    },
    async exec({ containerId, execId, spec, stdin, stdout, stderr, terminal }, ctx) {
      const process = {
        execId: required(execId),
        spec: given(spec, 'spec'),
        stdin,
        stdout,
        stderr,
        terminal,
      };
      await tasks.exec(ctx, containerId, process);
      return {};
    },
    async resizePty({ containerId, execId, width, height }, ctx) {
      await tasks.resize(ctx, containerId, execId, { columns: width, rows: height });
      return {};
    },
    async closeIO({ containerId, execId, stdin }, ctx) {
      if (stdin) await tasks.closeStdin(ctx, containerId, execId);
      else await tasks.get(ctx, containerId, execId);
      return {};
    },
    async pause({ containerId }, ctx) {
      await tasks.pause(ctx, containerId);
      return {};
    },
    async resume({ containerId }, ctx) {
      await tasks.resume(ctx, containerId);
      return {};
    },
    async listPids({ containerId }, ctx) {
      const pids = await tasks.pids(ctx, containerId);
      return { processes: pids.map(({ pid, info }) => (info ? { pid, info: toAny(info) } : { pid })) };
    },
    async checkpoint({ containerId, options }, ctx) {
      const { spec } = await containers.get(ctx, containerId);
      if (spec === undefined) throw failedPrecondition(`container ${containerId} has no runtime spec`);
      const path = optionsOf(CheckpointOptionsSchema, options)?.imagePath ?? '';
      if (path !== '') {
        await tasks.checkpoint(ctx, containerId, path, options);
        return { descriptors: [] };
      }
      const descriptors = await files.save(ctx, tasks, containerId, spec, options);
      return { descriptors: descriptors.map(toWireDescriptor) };
    },
    async update({ containerId, resources, annotations }, ctx) {
      await tasks.update(ctx, containerId, given(resources, 'resources'), annotations);
      return {};
    },
    async metrics({ filters }, ctx) {
      return { metrics: await metricsOf(tasks, filters, ctx) };
    },
    async wait({ containerId, execId }, ctx) {
      const { exitStatus, exitedAt } = await tasks.wait(ctx, containerId, execId);
      return { exitStatus, exitedAt: toTimestamp(exitedAt) };
    },
  };
  const named: ServiceImpl<typeof TasksService> = namingContainers(others, tasks, containers);
  // An exec without an id is refused before anything is looked for, as in containerd.
  const exec: ServiceImpl<typeof TasksService>['exec'] = async (request, ctx) => {
    required(request.execId);
    return named.exec?.(request, ctx) ?? {};
  };
  return { desc: TasksService, impl: { ...create, ...named, exec } };
}

type Method = (request: { containerId?: string }, ctx: Context) => Promise<unknown>;

/** Where a call fails and there is no such container or task, that is what it says, as containerd does. */
function namingContainers(impl: object, tasks: Tasks, containers: ContainerStore): ServiceBinding['impl'] {
  const mustExist = async (ctx: Context, id: string, error: unknown) => {
    await containers.get(ctx, id);
    if (isKind(error, 'invalid_argument') || isKind(error, 'not_implemented')) await tasks.get(ctx, id);
  };
  const naming =
    (method: Method): Method =>
    async (request, ctx) => {
      try {
        return await method(request, ctx);
      } catch (error) {
        if (request.containerId !== undefined) await mustExist(ctx, request.containerId, error);
        throw error;
      }
    };
  return Object.fromEntries(Object.entries(impl).map(([name, method]) => [name, naming(method)]));
}

/** Runtime, options and specification come from the container's record; options of the request go first. */
async function newTaskOf(
  request: CreateTaskRequest,
  containers: ContainerStore,
  ctx: Context,
): Promise<NewTask> {
  const { containerId, stdin, stdout, stderr, terminal, rootfs, runtimePath } = request;
  const { spec, runtime, sandboxId } = await containers.get(ctx, containerId);
  if (spec === undefined) throw failedPrecondition(`container ${containerId} has no runtime spec`);
  return {
    containerId,
    spec: spec.value,
    sandboxId,
    rootfs: rootfs.map(({ type, source, target, options }) => ({ type, source, target, options })),
    runtimeName: runtimePath === '' ? runtime.name : runtimePath,
    options: request.options ?? runtime.options,
    stdin,
    stdout,
    stderr,
    terminal,
  };
}

/** Directory of the checkpoint that a task is restored from: the client's own, or one with what it names. */
async function checkpointOf(
  { containerId, checkpoint, options }: CreateTaskRequest,
  files: CheckpointFiles,
  ctx: Context,
): Promise<string | undefined> {
  const path = isOf(OptionsSchema, options) ? optionsOf(OptionsSchema, options)?.criuImagePath : '';
  if (path) return path;
  return checkpoint && files.unpack(ctx, containerId, fromWireDescriptor(checkpoint));
}

const isOf = ({ typeName }: DescMessage, any: Any | undefined): boolean =>
  any !== undefined && typeNameOf(any.typeUrl) === typeName;

/** @throws invalid_argument (of another type, malformed) */
function optionsOf<T extends DescMessage>(schema: T, any: Any | undefined): MessageShape<T> | undefined {
  if (any === undefined || any.typeUrl === '') return undefined;
  const options = decodeAny(schema, any);
  if (options === undefined) throw invalidArgument(`options of type ${any.typeUrl.slice(0, 200)}`);
  return options;
}

const statusToWire = {
  unknown: Status.UNKNOWN,
  created: Status.CREATED,
  running: Status.RUNNING,
  stopped: Status.STOPPED,
  paused: Status.PAUSED,
  pausing: Status.PAUSING,
} as const satisfies Record<TaskStatus, Status>;

/** `id` is the exec's, or the container's for its first process. */
function stateToWire({ execId, status, exitedAt, ...state }: TaskState) {
  return {
    ...state,
    id: execId === '' ? state.containerId : execId,
    status: statusToWire[status],
    exitedAt: toTimestamp(exitedAt ?? notYet),
  };
}

const deletedToWire = (id: string, { pid, exitStatus, exitedAt }: DeletedTask) => ({
  id,
  pid,
  exitStatus,
  exitedAt: toTimestamp(exitedAt),
});

/** Metrics of the running tasks that match; one that cannot tell is left out and logged, as containerd does. */
async function metricsOf(tasks: Tasks, filters: readonly string[], ctx: Context) {
  const matches = compileFilters(filters);
  const wanted = (await tasks.list(ctx)).filter(({ containerId }) =>
    matches(([field]) => ({ id: containerId, namespace: ctx.namespace })[field ?? '']),
  );
  const metrics = await Promise.all(wanted.map(({ containerId }) => metricOf(tasks, containerId, ctx)));
  return metrics.filter((metric) => metric !== undefined);
}

async function metricOf(tasks: Tasks, id: string, ctx: Context) {
  try {
    const data = await tasks.metrics(ctx, id);
    return { id, timestamp: timestampNow(), ...(data === undefined ? {} : { data: toAny(data) }) };
  } catch (error) {
    if (isKind(error, 'not_implemented')) throw error;
    ctx.log.warn({ id, error: messageOf(error) }, 'no metrics of a task');
    return undefined;
  }
}

function required(execId: string): string {
  if (execId === '') throw invalidArgument('exec id cannot be empty');
  return execId;
}
