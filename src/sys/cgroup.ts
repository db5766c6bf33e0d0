import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rmdir, writeFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, invalidArgument } from '../errors/error.ts';
import { O_WRONLY } from './constants.ts';
import { listMounts } from './mountinfo.ts';
import { signalProcess } from './process.ts';

/** `unified`: cgroup v2 alone; `hybrid`: v1 controllers with v2 beside them; `legacy`: v1 alone. cgroups(7) */
export type CgroupMode = 'unified' | 'hybrid' | 'legacy' | 'none';

/** One mounted hierarchy. */
export interface CgroupHierarchy {
  readonly mountPoint: string;
  readonly version: 1 | 2;
  /** v1 controllers (`cpu`, `memory`, `name=systemd`); for v2 what its cgroup.controllers lists. */
  readonly controllers: readonly string[];
}

/** What is mounted under /sys/fs/cgroup. */
export function cgroupHierarchies(): CgroupHierarchy[] {
  const mounts = listMounts().filter(
    (mount) => mount.root === '/' && (mount.type === 'cgroup' || mount.type === 'cgroup2'),
  );
  return mounts.map(({ type, mountPoint, superOptions }) =>
    type === 'cgroup2'
      ? { mountPoint, version: 2, controllers: words(join(mountPoint, 'cgroup.controllers')) }
      : { mountPoint, version: 1, controllers: superOptions.filter((word) => !generic.has(word)) },
  );
}

let known: CgroupHierarchy[] | undefined;
/** As first found: they are mounted once, at boot, and the list of mounts is long where many containers run. */
export const knownHierarchies = (): CgroupHierarchy[] => (known ??= cgroupHierarchies());

const generic = new Set(['rw', 'ro', 'xattr', 'clone_children', 'noprefix', 'seclabel']);
const words = (path: string): string[] => readIfThere(path).split(/\s+/).filter(Boolean);

export function cgroupMode(hierarchies = cgroupHierarchies()): CgroupMode {
  const versions = new Set(hierarchies.map((hierarchy) => hierarchy.version));
  if (versions.size === 2) return 'hybrid';
  if (versions.has(2)) return 'unified';
  return versions.has(1) ? 'legacy' : 'none';
}

/** The cgroups of a process: path by controller list as /proc/<pid>/cgroup writes it; v2 has the key ''. */
export function cgroupsOf(pid: number | 'self'): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n').filter(Boolean);
  return new Map(
    lines.map((line) => {
      const [, controllers = '', ...path] = line.split(':');
      return [controllers, path.join(':')];
    }),
  );
}

/** The directories of a cgroup path that exist, one per hierarchy at most. @throws invalid_argument */
export function cgroupDirectories(path: string, hierarchies = knownHierarchies()): string[] {
  if (
    !path.startsWith('/') ||
    path === '/' ||
    normalize(path) !== path ||
    path.endsWith('/') ||
    path.includes('\0')
  )
    throw invalidArgument(`${JSON.stringify(path)} is not a clean absolute cgroup path below the root`);
  const directories = hierarchies.map(({ mountPoint }) => join(mountPoint, path));
  return directories.filter((directory) => existsSync(directory));
}

/** Pids of a cgroup and all cgroups below it, in every hierarchy; empty where it does not exist. */
export function listCgroupPids(path: string): number[] {
  const pids = new Set<number>();
  for (const directory of cgroupDirectories(path).flatMap(withDescendants))
    for (const pid of words(join(directory, 'cgroup.procs'))) pids.add(Number(pid));
  return [...pids].filter((pid) => pid > 0);
}

/** Kills everything in a cgroup and below: `cgroup.kill` (Linux 5.14) where there is one, else signal by signal. */
export async function killCgroup(path: string): Promise<void> {
  for (const directory of cgroupDirectories(path))
    await writeFile(join(directory, 'cgroup.kill'), '1', { flag: O_WRONLY }).catch(ignoreMissing);
  // Again while any are left: one may have forked between the listing and its signal.
  for (let round = 0, pids = listCgroupPids(path); pids.length > 0 && round < KILL_ROUNDS; round++) {
    for (const pid of pids) signalProcess(pid, SIGKILL);
    await sleep(2);
    pids = listCgroupPids(path);
  }
}

const SIGKILL = 9;
const KILL_ROUNDS = 50;

/**
 * Removes a cgroup and all below it in every hierarchy, waiting for the ends of its last processes. Idempotent.
 * @throws EBUSY: processes are left when `timeoutMs` is over
 */
export async function removeCgroup(path: string, timeoutMs = 2000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  await Promise.all(cgroupDirectories(path).map((directory) => removeDirectory(directory, deadline)));
}

async function removeDirectory(directory: string, deadline: number): Promise<void> {
  // The usual one has nothing below it.
  if (await removeAll([directory], false)) return;
  while (!(await removeAll(withDescendants(directory), performance.now() >= deadline))) await sleep(10);
}

/** @returns false where something is busy; throws that instead on the `last` try. */
async function removeAll(directories: readonly string[], last: boolean): Promise<boolean> {
  try {
    for (const directory of directories.toReversed()) await rmdir(directory).catch(ignoreMissing);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EBUSY' || last) throw error;
    return false;
  }
}

/** A directory and those below it, parents first. */
function withDescendants(directory: string): string[] {
  const below = subdirectories(directory) ?? [];
  return [directory, ...below.flatMap((name) => withDescendants(join(directory, name)))];
}

function subdirectories(directory: string): string[] | undefined {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    ignoreMissing(error);
    return undefined;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    ignoreMissing(error);
    return '';
  }
}

// ENODEV: the cgroup went away while its file was open. EOPNOTSUPP: cgroup.procs of a threaded cgroup.
const missing = new Set(['ENOENT', 'ENODEV', 'ENOTDIR', 'ENOTSUP', 'EOPNOTSUPP']);
function ignoreMissing(error: unknown): void {
  if (!missing.has(codeOf(error) ?? '')) throw error;
}
