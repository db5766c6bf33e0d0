import { create, toBinary } from '@bufbuild/protobuf';
import {
  CPUStatSchema,
  HugeTlbStatSchema,
  IOEntrySchema,
  IOStatSchema,
  MemoryEventsSchema,
  MemoryStatSchema,
  MetricsSchema,
  PidsStatSchema,
  PSIDataSchema,
  PSIStatsSchema,
  RdmaEntrySchema,
  RdmaStatSchema,
} from '../gen/io/containerd/cgroups/v2/cgroups_pb.ts';
import { namesIn, numberOf, pickFields, readFlat, readLines, readNumber } from './cgroup-files.ts';
import { readRdma } from './rdma-files.ts';

/** containerd's cgroup metrics of version 2. `dir`: the cgroup. */
export function metricsV2(dir: string) {
  const metrics = create(MetricsSchema, {
    pids: create(PidsStatSchema, {
      current: readNumber(dir, 'pids.current'),
      limit: readNumber(dir, 'pids.max', 0n),
    }),
    cpu: Object.assign(pickFields(CPUStatSchema, readFlat(dir, 'cpu.stat')), pressure(dir, 'cpu.pressure')),
    memory: memory(dir),
    memoryEvents: pickFields(MemoryEventsSchema, readFlat(dir, 'memory.events')),
    io: create(IOStatSchema, {
      usage: readLines(dir, 'io.stat').map(ioEntry),
      ...pressure(dir, 'io.pressure'),
    }),
    hugetlb: hugetlb(dir),
    rdma: rdma(dir),
  });
  return { typeUrl: MetricsSchema.typeName, value: toBinary(MetricsSchema, metrics) };
}

const memory = (dir: string) =>
  Object.assign(pickFields(MemoryStatSchema, readFlat(dir, 'memory.stat')), {
    usage: readNumber(dir, 'memory.current'),
    usageLimit: readNumber(dir, 'memory.max'),
    maxUsage: readNumber(dir, 'memory.peak'),
    swapUsage: readNumber(dir, 'memory.swap.current'),
    swapLimit: readNumber(dir, 'memory.swap.max'),
    swapMaxUsage: readNumber(dir, 'memory.swap.peak'),
    ...pressure(dir, 'memory.pressure'),
  });

/** A line `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`. */
function ioEntry(line: string) {
  const [device = '', ...pairs] = line.split(' ');
  const [major = '', minor = ''] = device.split(':');
  const values = new Map(
    pairs.map((pair): [string, bigint] => {
      const [name = '', value = ''] = pair.split('=');
      return [name, numberOf(value)];
    }),
  );
  return Object.assign(pickFields(IOEntrySchema, values), { major: numberOf(major), minor: numberOf(minor) });
}

const hugetlb = (dir: string) =>
  namesIn(dir, /^hugetlb\.([0-9]+[KMG]B)\.current$/).map((pagesize) =>
    create(HugeTlbStatSchema, {
      pagesize,
      current: readNumber(dir, `hugetlb.${pagesize}.current`),
      max: readNumber(dir, `hugetlb.${pagesize}.max`),
      failcnt: readFlat(dir, `hugetlb.${pagesize}.events`).get('max') ?? 0n,
    }),
  );

const rdma = (dir: string) =>
  create(RdmaStatSchema, {
    current: readRdma(dir, 'rdma.current').map((line) => create(RdmaEntrySchema, line)),
    limit: readRdma(dir, 'rdma.max').map((line) => create(RdmaEntrySchema, line)),
  });

/** Lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, of `full` the same; nothing where the kernel counts none. */
function pressure(dir: string, file: string): { psi?: ReturnType<typeof psiOf> } {
  const lines = readLines(dir, file);
  return lines.length === 0 ? {} : { psi: psiOf(lines) };
}

function psiOf(lines: readonly string[]) {
  const line = (kind: string) => {
    const words =
      lines
        .find((text) => text.startsWith(kind))
        ?.split(' ')
        .slice(1) ?? [];
    const values = new Map(words.map((word) => word.split('=') as [string, string]));
    const number = (name: string) => Number(values.get(name) ?? 0);
    return create(PSIDataSchema, {
      avg10: number('avg10'),
      avg60: number('avg60'),
      avg300: number('avg300'),
      total: numberOf(values.get('total') ?? ''),
    });
  };
  return create(PSIStatsSchema, { some: line('some'), full: line('full') });
}
