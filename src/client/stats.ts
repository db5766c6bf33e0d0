import { fromBinary } from '@bufbuild/protobuf';
import type { Metric } from '../gen/containerd/types/types_pb.ts';
import { type Metrics as V1, MetricsSchema as V1Schema } from '../gen/io/containerd/cgroups/v1/cgroups_pb.ts';
import { type Metrics as V2, MetricsSchema as V2Schema } from '../gen/io/containerd/cgroups/v2/cgroups_pb.ts';
import { typeNameOf } from '../rpc/any.ts';
import { toDate } from './convert.ts';

/** What a task has used until `time`, of either version of cgroups. */
export interface TaskStats {
  readonly containerId: string;
  readonly time: Date;
  readonly cpuNanoseconds: bigint;
  /** Without the cache of files that nobody has touched lately, as `docker stats` counts. */
  readonly memoryBytes: number;
  /** 0: no limit. */
  readonly memoryLimitBytes: number;
  readonly pids: number;
  /** 0: no limit. */
  readonly pidsLimit: number;
  /** From and to block devices. */
  readonly readBytes: number;
  readonly writtenBytes: number;
}

type Use = Omit<TaskStats, 'containerId' | 'time'>;

/** Nothing for metrics of a type that is not known. */
export function toStats({ id, timestamp, data }: Metric): TaskStats[] {
  if (data === undefined) return [];
  const type = typeNameOf(data.typeUrl);
  const heading = { containerId: id, time: toDate(timestamp) };
  if (type === V2Schema.typeName) return [{ ...heading, ...useOfV2(fromBinary(V2Schema, data.value)) }];
  if (type === V1Schema.typeName) return [{ ...heading, ...useOfV1(fromBinary(V1Schema, data.value)) }];
  return [];
}

function useOfV1({ cpu, memory, pids, blkio }: V1): Use {
  const usage = memory?.usage;
  const moved = (op: string) => {
    const entries = blkio?.ioServiceBytesRecursive ?? [];
    return sum(entries.filter((entry) => entry.op.toLowerCase() === op).map(({ value }) => value));
  };
  return {
    cpuNanoseconds: cpu?.usage?.total ?? 0n,
    memoryBytes: inUse(usage?.usage, memory?.totalInactiveFile),
    memoryLimitBytes: limit(usage?.limit),
    pids: Number(pids?.current ?? 0n),
    pidsLimit: limit(pids?.limit),
    readBytes: moved('read'),
    writtenBytes: moved('write'),
  };
}

function useOfV2({ cpu, memory, pids, io }: V2): Use {
  const entries = io?.usage ?? [];
  return {
    cpuNanoseconds: (cpu?.usageUsec ?? 0n) * 1000n,
    memoryBytes: inUse(memory?.usage, memory?.inactiveFile),
    memoryLimitBytes: limit(memory?.usageLimit),
    pids: Number(pids?.current ?? 0n),
    pidsLimit: limit(pids?.limit),
    readBytes: sum(entries.map(({ rbytes }) => rbytes)),
    writtenBytes: sum(entries.map(({ wbytes }) => wbytes)),
  };
}

const sum = (values: readonly bigint[]): number => Number(values.reduce((total, value) => total + value, 0n));

const inUse = (usage = 0n, inactiveFile = 0n): number =>
  Number(usage > inactiveFile ? usage - inactiveFile : usage);

/** Kernels write the largest number there is, rounded to pages, for no limit. */
const limit = (value = 0n): number => (value >= 2n ** 53n ? 0 : Number(value));
