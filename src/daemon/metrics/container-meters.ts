import { fromBinary } from '@bufbuild/protobuf';
import { Gauge, type Registry } from 'prom-client';
import { type Context, daemonContext, type Log } from '../../async/context.ts';
import { messageOf } from '../../errors/error.ts';
import {
  type Metrics as V1,
  MetricsSchema as V1Schema,
} from '../../gen/io/containerd/cgroups/v1/cgroups_pb.ts';
import {
  type Metrics as V2,
  MetricsSchema as V2Schema,
} from '../../gen/io/containerd/cgroups/v2/cgroups_pb.ts';
import type { ContainerStore } from '../../metadata/container-store.ts';
import type { NamespaceStore } from '../../metadata/namespace-store.ts';
import type { Any } from '../../oci/any.ts';
import { typeNameOf } from '../../rpc/any.ts';
import type { Tasks } from '../../runtime/tasks.ts';

/** Of whom: every running task of every namespace. */
export interface TaskSource {
  readonly tasks: Tasks;
  readonly containers: ContainerStore;
  readonly namespaces: NamespaceStore;
  readonly log: Log;
  /** How long a scrape waits for shims; what has answered by then is told. */
  readonly statsTimeoutMs: () => number;
}

const labelNames = ['container_id', 'namespace', 'runtime'] as const;
type Label = (typeof labelNames)[number];
type Values = Readonly<Record<string, bigint | undefined>>;

/** What running containers use, under containerd's names, which are others for each version of cgroups. */
export class ContainerMeters {
  readonly #source: TaskSource;
  readonly #registry: Registry;
  readonly #gauges = new Map<string, Gauge<Label>>();

  constructor(registry: Registry, source: TaskSource) {
    this.#registry = registry;
    this.#source = source;
  }

  /** Reads them all. Never throws: what cannot be read is left out and logged. */
  async read(): Promise<void> {
    const { tasks, namespaces, log, statsTimeoutMs } = this.#source;
    const ctx = daemonContext(log, '', AbortSignal.timeout(statsTimeoutMs()));
    for (const gauge of this.#gauges.values()) gauge.reset();
    try {
      for (const { name } of await namespaces.list(ctx)) {
        const inside = { ...ctx, namespace: name };
        const running = (await tasks.list(inside)).filter(({ status }) => status === 'running');
        await Promise.all(running.map(({ containerId }) => this.#readOne(inside, containerId)));
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'metrics of containers are incomplete');
    }
  }

  async #readOne(ctx: Context, id: string): Promise<void> {
    try {
      const { tasks, containers } = this.#source;
      const any = await tasks.metrics(ctx, id);
      if (any === undefined) return;
      const { runtime } = await containers.get(ctx, id);
      this.#set({ container_id: id, namespace: ctx.namespace, runtime: runtime.name }, valuesOf(any));
    } catch (error) {
      ctx.log.debug({ id, error: messageOf(error) }, 'no metrics of a task');
    }
  }

  #set(labels: Readonly<Record<Label, string>>, values: Values): void {
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) this.#gauge(`container_${name}`).set(labels, Number(value));
  }

  #gauge(name: string): Gauge<Label> {
    const known = this.#gauges.get(name);
    if (known !== undefined) return known;
    const help = `${name.replace(/^container_/, '').replaceAll('_', ' ')} of the container's cgroup`;
    const gauge = new Gauge({ name, help, labelNames, registers: [this.#registry] });
    this.#gauges.set(name, gauge);
    return gauge;
  }
}

function valuesOf({ typeUrl, value }: Any): Values {
  const type = typeNameOf(typeUrl);
  if (type === V2Schema.typeName) return valuesOfV2(fromBinary(V2Schema, value));
  return type === V1Schema.typeName ? valuesOfV1(fromBinary(V1Schema, value)) : {};
}

const valuesOfV1 = ({ cpu, memory, pids }: V1): Values => ({
  cpu_total_nanoseconds: cpu?.usage?.total,
  cpu_user_nanoseconds: cpu?.usage?.user,
  cpu_kernel_nanoseconds: cpu?.usage?.kernel,
  cpu_throttle_periods_total: cpu?.throttling?.periods,
  cpu_throttled_periods_total: cpu?.throttling?.throttledPeriods,
  cpu_throttled_time_nanoseconds: cpu?.throttling?.throttledTime,
  memory_usage_usage_bytes: memory?.usage?.usage,
  memory_usage_limit_bytes: memory?.usage?.limit,
  memory_usage_max_bytes: memory?.usage?.max,
  memory_usage_failcnt_total: memory?.usage?.failcnt,
  memory_cache_bytes: memory?.cache,
  memory_rss_bytes: memory?.rss,
  memory_inactive_file_bytes: memory?.inactiveFile,
  memory_active_file_bytes: memory?.activeFile,
  pids_current: pids?.current,
  pids_limit: pids?.limit,
});

const valuesOfV2 = ({ cpu, memory, pids }: V2): Values => ({
  cpu_usage_usec_microseconds: cpu?.usageUsec,
  cpu_user_usec_microseconds: cpu?.userUsec,
  cpu_system_usec_microseconds: cpu?.systemUsec,
  cpu_nr_periods_total: cpu?.nrPeriods,
  cpu_nr_throttled_total: cpu?.nrThrottled,
  cpu_throttled_usec_microseconds: cpu?.throttledUsec,
  memory_usage_bytes: memory?.usage,
  memory_usage_limit_bytes: memory?.usageLimit,
  memory_anon_bytes: memory?.anon,
  memory_file_bytes: memory?.file,
  memory_inactive_file_bytes: memory?.inactiveFile,
  memory_active_file_bytes: memory?.activeFile,
  memory_pgfault_bytes: memory?.pgfault,
  memory_pgmajfault_bytes: memory?.pgmajfault,
  pids_current: pids?.current,
  pids_limit: pids?.limit,
});
