import { create, toBinary } from '@bufbuild/protobuf';
import {
  CPUStatSchema,
  IOEntrySchema,
  IOStatSchema,
  MemoryEventsSchema,
  MemoryStatSchema,
  MetricsSchema,
  PidsStatSchema,
} from '../gen/io/containerd/cgroups/v2/cgroups_pb.ts';
import { numberOf, pickFields, readFlat, readLines, readNumber } from './cgroup-files.ts';

/** containerd's cgroup metrics of version 2. `dir`: the cgroup. */
export function metricsV2(dir: string) {
  const metrics = create(MetricsSchema, {
    pids: create(PidsStatSchema, {
      current: readNumber(dir, 'pids.current'),
      limit: readNumber(dir, 'pids.max', 0n),
    }),
    cpu: pickFields(CPUStatSchema, readFlat(dir, 'cpu.stat')),
    memory: memory(dir),
    memoryEvents: pickFields(MemoryEventsSchema, readFlat(dir, 'memory.events')),
    io: create(IOStatSchema, { usage: readLines(dir, 'io.stat').map(ioEntry) }),
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
