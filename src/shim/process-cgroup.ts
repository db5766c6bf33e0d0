import { join } from 'node:path';
import { notFound } from '../errors/error.ts';
import { type CgroupHierarchy, cgroupMode, cgroupsOf, knownHierarchies } from '../sys/cgroup.ts';

/** Where a process is in the cgroup hierarchies. */
export interface ProcessCgroup {
  /** Controllers are all in one hierarchy of version 2. */
  readonly isUnified: boolean;
  /** The cgroup that a controller counts it in, of either version; '' where the controller is in none. */
  directoryOf(controller: string): string;
}

/** @throws not_found (the process has ended) */
export function cgroupOf(pid: number): ProcessCgroup {
  const paths = readCgroups(pid);
  const all = knownHierarchies();
  const unified = all.find(({ version }) => version === 2);
  const isUnified = cgroupMode(all) === 'unified';
  return {
    isUnified,
    directoryOf(controller) {
      const first = all.find((one) => one.version === 1 && one.controllers.includes(controller));
      if (first !== undefined) return directory(first, pathIn(paths, controller));
      const has = unified !== undefined && (isUnified || unified.controllers.includes(controller));
      return has ? directory(unified, paths.get('')) : '';
    },
  };
}

const directory = ({ mountPoint }: CgroupHierarchy, path: string | undefined): string =>
  path === undefined ? '' : join(mountPoint, path);

const pathIn = (paths: ReadonlyMap<string, string>, controller: string): string | undefined =>
  [...paths].find(([controllers]) => controllers.split(',').includes(controller))?.[1];

function readCgroups(pid: number): ReadonlyMap<string, string> {
  try {
    return cgroupsOf(pid);
  } catch (error) {
    throw notFound(`cgroups of process ${pid}`, error);
  }
}
