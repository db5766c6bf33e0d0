import { create } from '@bufbuild/protobuf';
import { AnySchema, timestampFromMs, type Any as WireAny } from '@bufbuild/protobuf/wkt';
import type { Context } from '../async/context.ts';
import type { Containers, LogEntry, NewContainerOfImage } from '../containers/containers.ts';
import { invalidArgument } from '../errors/error.ts';
import {
  type CreateContainerRequest,
  type LogsRequest,
  Containers as Service,
} from '../gen/berth/v1/containers_pb.ts';
import type { Any } from '../oci/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { namedRuntime } from '../runtime/runtime-name.ts';

/** Who knows what was done to end a task; the runtime's Tasks is one. */
export interface EndTeller {
  /** @throws not_found */
  endSteps(
    ctx: Context,
    id: string,
  ): Promise<readonly { readonly atMs: number; readonly step: string; readonly error: string }[]>;
}

/** berth.v1.Containers: making containers of images, over the wire. */
export function berthContainersService(containers: Containers, ends: EndTeller): ServiceBinding {
  return bindService(Service, {
    async create(request, ctx) {
      return containers.create(ctx, newContainerOf(request));
    },
    async remove({ id, force }, ctx) {
      await containers.remove(ctx, id, { force });
      return {};
    },
    async rename({ id, name }, ctx) {
      await containers.rename(ctx, id, name);
      return {};
    },
    async update({ id, cpusetCpus, ...limits }, ctx) {
      await containers.update(ctx, id, {
        cpusetCpus,
        memoryBytes: changeOf(limits.memoryBytes, 'memory_bytes'),
        cpuMillis: changeOf(limits.cpuMillis, 'cpu_millis'),
        pidsLimit: changeOf(limits.pidsLimit, 'pids_limit'),
        cpuShares: changeOf(limits.cpuShares, 'cpu_shares'),
      });
      return {};
    },
    async endSteps({ id }, ctx) {
      const steps = await ends.endSteps(ctx, id);
      return { steps: steps.map(({ atMs, ...step }) => ({ ...step, at: timestampFromMs(atMs) })) };
    },
    makeStdio: (request, ctx) => containers.makeStdio(ctx, request),
    async processSpec({ workdir, ...request }, ctx) {
      const spec = await containers.processSpec(ctx, { ...request, workingDir: workdir });
      return { spec: create(AnySchema, { typeUrl: spec.typeUrl, value: Uint8Array.from(spec.value) }) };
    },
    async *logs(request, ctx) {
      for await (const entry of containers.logs(ctx, wantedLogsOf(request))) yield toWire(entry);
    },
  });
}

function newContainerOf(request: CreateContainerRequest): NewContainerOfImage {
  const { workdir, memoryBytes, cpuMillis, pidsLimit, runtime, runtimeOptions, ...rest } = request;
  return {
    ...rest,
    workingDir: workdir,
    memoryBytes: limitOf(memoryBytes, 'memory_bytes'),
    cpuMillis: limitOf(cpuMillis, 'cpu_millis'),
    pidsLimit: limitOf(pidsLimit, 'pids_limit'),
    ...namedRuntime(runtime, runtimeOptions && fromWireAny(runtimeOptions)),
  };
}

const fromWireAny = ({ typeUrl, value }: WireAny): Any => ({ typeUrl, value });

const changeOf = (value: bigint | undefined, field: string): number | undefined =>
  value === undefined ? undefined : limitOf(value, field);

function limitOf(value: bigint, field: string): number {
  const number = Number(value);
  if (number >= 0 && Number.isSafeInteger(number)) return number;
  throw invalidArgument(`${field} ${value}: want a whole number from 0 to 2^53-1`);
}

function wantedLogsOf({ containerId, follow, tail, since }: LogsRequest): Parameters<Containers['logs']>[1] {
  const lines = Number(tail);
  if (!Number.isSafeInteger(lines) || lines < -1)
    throw invalidArgument(`tail ${tail}: want a number of lines, or -1`);
  return { containerId, follow, tail: lines, since };
}

const toWire = ({ time, stream, data, partial }: LogEntry) => ({
  time,
  stream,
  data: Uint8Array.from(data),
  partial,
});
