import { cgroupOf } from './process-cgroup.ts';

/** An Any as generated messages take it. */
interface Metrics {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

/**
 * What the cgroup of a process has used, as containerd's metrics of the cgroup version at work (version 1 where both
 * are mounted). Messages are loaded on the first call: most shims are never asked.
 * @throws not_found (the process has ended)
 */
export async function cgroupMetrics(pid: number): Promise<Metrics> {
  const cgroup = cgroupOf(pid);
  if (cgroup.isUnified) {
    const { metricsV2 } = await import('./metrics-v2.ts');
    return metricsV2(cgroup.directoryOf(''));
  }
  const { metricsV1 } = await import('./metrics-v1.ts');
  return metricsV1((controller) => cgroup.directoryOf(controller));
}
