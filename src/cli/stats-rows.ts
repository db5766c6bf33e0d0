import type { BerthClient, Container, TaskStats } from '../client/index.ts';
import { titleOf } from './containers.ts';
import { humanSize, shortId } from './output/text.ts';

/** What a container uses, with docker's field names. */
export interface StatsRow {
  readonly ID: string;
  readonly Name: string;
  /** Of one CPU since the last look; `--` at the first. */
  readonly CPUPerc: string;
  readonly MemUsage: string;
  /** Of its limit, or of the machine's memory. */
  readonly MemPerc: string;
  readonly BlockIO: string;
  readonly PIDs: number;
}

/** Compares each look with the one before. */
export class StatsView {
  readonly #machineBytes: number;
  #before = new Map<string, TaskStats>();

  constructor(machineBytes: number) {
    this.#machineBytes = machineBytes;
  }

  /** A row for each of these containers that runs, in their order. */
  async look(client: BerthClient, containers: readonly Container[]): Promise<StatsRow[]> {
    const stats = await client.tasks.stats(containers.map(({ id }) => id));
    const now = new Map(stats.map((one) => [one.containerId, one]));
    const rows = containers.flatMap((container) => {
      const found = now.get(container.id);
      return found === undefined ? [] : [this.#row(container, found)];
    });
    this.#before = now;
    return rows;
  }

  #row(container: Container, stats: TaskStats): StatsRow {
    const { memoryBytes, memoryLimitBytes, readBytes, writtenBytes, pids } = stats;
    const limit = memoryLimitBytes > 0 ? Math.min(memoryLimitBytes, this.#machineBytes) : this.#machineBytes;
    return {
      ID: shortId(container.id),
      Name: titleOf(container),
      CPUPerc: cpuShare(this.#before.get(container.id), stats),
      MemUsage: `${humanSize(memoryBytes)} / ${humanSize(limit)}`,
      MemPerc: percent(memoryBytes / limit),
      BlockIO: `${humanSize(readBytes)} / ${humanSize(writtenBytes)}`,
      PIDs: pids,
    };
  }
}

function cpuShare(before: TaskStats | undefined, now: TaskStats): string {
  const elapsedMs = before === undefined ? 0 : now.time.getTime() - before.time.getTime();
  if (before === undefined || elapsedMs <= 0) return '--';
  return percent(Number(now.cpuNanoseconds - before.cpuNanoseconds) / (elapsedMs * 1e6));
}

const percent = (share: number): string => `${(Math.max(0, share) * 100).toFixed(2)}%`;
