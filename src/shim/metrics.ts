import { join } from 'node:path';
import { notFound } from '../errors/error.ts';
import { cgroupMode, cgroupsOf, knownHierarchies } from '../sys/cgroup.ts';

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
  const cgroups = readCgroups(pid);
  const hierarchies = knownHierarchies();
  if (cgroupMode(hierarchies) === 'unified') {
    const { metricsV2 } = await import('./metrics-v2.ts');
    return metricsV2(join(hierarchies[0]?.mountPoint ?? '', cgroups.get('') ?? ''));
  }
  const { metricsV1 } = await import('./metrics-v1.ts');
  return metricsV1((controller) => {
    const hierarchy = hierarchies.find(
      ({ version, controllers }) => version === 1 && controllers.includes(controller),
    );
    const path = [...cgroups].find(([controllers]) => controllers.split(',').includes(controller))?.[1];
    return hierarchy === undefined || path === undefined ? '' : join(hierarchy.mountPoint, path);
  });
}

function readCgroups(pid: number): ReadonlyMap<string, string> {
  try {
    return cgroupsOf(pid);
  } catch (error) {
    throw notFound(`cgroups of process ${pid}`, error);
  }
}
