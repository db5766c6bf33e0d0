import { create, toBinary } from '@bufbuild/protobuf';
import {
  type BlkIOEntry,
  BlkIOEntrySchema,
  BlkIOStatSchema,
  CPUStatSchema,
  CPUUsageSchema,
  HugetlbStatSchema,
  MemoryEntrySchema,
  MemoryOomControlSchema,
  type MemoryStat,
  MemoryStatSchema,
  MetricsSchema,
  PidsStatSchema,
  RdmaEntrySchema,
  RdmaStatSchema,
  ThrottleSchema,
} from '../gen/io/containerd/cgroups/v1/cgroups_pb.ts';
import { namesIn, numberOf, pickFields, readFlat, readLines, readNumber } from './cgroup-files.ts';
import { readRdma } from './rdma-files.ts';

/** Nanoseconds of a clock tick, in which cpuacct.stat counts. */
const tickNanoseconds = 10_000_000n;

/**
 * containerd's cgroup metrics of version 1.
 * @param directoryOf where the cgroup is in the hierarchy of a controller; '' when there is none
 */
export function metricsV1(directoryOf: (controller: string) => string) {
  const metrics = create(MetricsSchema, {
    pids: pids(directoryOf('pids')),
    cpu: create(CPUStatSchema, {
      usage: cpuUsage(directoryOf('cpuacct')),
      throttling: throttling(directoryOf('cpu')),
    }),
    memory: memory(directoryOf('memory')),
    blkio: blkio(directoryOf('blkio')),
    hugetlb: hugetlb(directoryOf('hugetlb')),
    rdma: rdma(directoryOf('rdma')),
    memoryOomControl: pickFields(
      MemoryOomControlSchema,
      readFlat(directoryOf('memory'), 'memory.oom_control'),
    ),
  });
  return { typeUrl: MetricsSchema.typeName, value: toBinary(MetricsSchema, metrics) };
}

const pids = (dir: string) =>
  create(PidsStatSchema, {
    current: readNumber(dir, 'pids.current'),
    limit: readNumber(dir, 'pids.max', 0n),
  });

function cpuUsage(dir: string) {
  const stat = readFlat(dir, 'cpuacct.stat');
  const perCpu = readLines(dir, 'cpuacct.usage_percpu').join(' ').split(' ').filter(Boolean);
  return create(CPUUsageSchema, {
    total: readNumber(dir, 'cpuacct.usage'),
    user: (stat.get('user') ?? 0n) * tickNanoseconds,
    kernel: (stat.get('system') ?? 0n) * tickNanoseconds,
    perCpu: perCpu.map(numberOf),
  });
}

function throttling(dir: string) {
  const stat = readFlat(dir, 'cpu.stat');
  return create(ThrottleSchema, {
    periods: stat.get('nr_periods') ?? 0n,
    throttledPeriods: stat.get('nr_throttled') ?? 0n,
    throttledTime: stat.get('throttled_time') ?? 0n,
  });
}

function memory(dir: string): MemoryStat {
  const entry = (prefix: string) =>
    create(MemoryEntrySchema, {
      limit: readNumber(dir, `memory.${prefix}limit_in_bytes`),
      usage: readNumber(dir, `memory.${prefix}usage_in_bytes`),
      max: readNumber(dir, `memory.${prefix}max_usage_in_bytes`),
      failcnt: readNumber(dir, `memory.${prefix}failcnt`),
    });
  return Object.assign(pickFields(MemoryStatSchema, readFlat(dir, 'memory.stat')), {
    usage: entry(''),
    swap: entry('memsw.'),
    kernel: entry('kmem.'),
    kernelTcp: entry('kmem.tcp.'),
  });
}

const hugetlb = (dir: string) =>
  namesIn(dir, /^hugetlb\.([0-9]+[KMG]B)\.usage_in_bytes$/).map((pagesize) =>
    create(HugetlbStatSchema, {
      pagesize,
      usage: readNumber(dir, `hugetlb.${pagesize}.usage_in_bytes`),
      max: readNumber(dir, `hugetlb.${pagesize}.max_usage_in_bytes`),
      failcnt: readNumber(dir, `hugetlb.${pagesize}.failcnt`),
    }),
  );

const rdma = (dir: string) =>
  create(RdmaStatSchema, {
    current: readRdma(dir, 'rdma.current').map((line) => create(RdmaEntrySchema, line)),
    limit: readRdma(dir, 'rdma.max').map((line) => create(RdmaEntrySchema, line)),
  });

const blkio = (dir: string) =>
  create(BlkIOStatSchema, {
    ioServiceBytesRecursive: blkioEntries(dir, 'blkio.throttle.io_service_bytes_recursive'),
    ioServicedRecursive: blkioEntries(dir, 'blkio.throttle.io_serviced_recursive'),
  });

/** Lines `8:0 Read 4096`; the closing total is left out. */
function blkioEntries(dir: string, file: string): BlkIOEntry[] {
  const lines = readLines(dir, file).map((line) => line.split(/[: ]/));
  return lines
    .filter((words) => words.length === 4)
    .map(([major = '', minor = '', op = '', value = '']) =>
      create(BlkIOEntrySchema, {
        op,
        major: numberOf(major),
        minor: numberOf(minor),
        value: numberOf(value),
      }),
    );
}
