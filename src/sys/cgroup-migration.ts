import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupsOf, knownHierarchies } from './cgroup.ts';
import { O_WRONLY } from './constants.ts';

let underWay = false;

/**
 * Makes the moves of processes between cgroups quick for the next moment, by moving this one to where it is. The kernel
 * waits for an RCU grace period at the first move after a pause (`cgroup_threadgroup_rwsem`: 8 ms at 250 Hz, measured) and
 * not at those that come within some 8 ms: a runtime that is being started meanwhile finds the wait over. Never rejects.
 */
export async function rouseCgroupMoves(): Promise<void> {
  if (underWay) return;
  underWay = true;
  try {
    await writeFile(ownProcsFile(), '0', { flag: O_WRONLY });
  } catch {
    // Not ours to write: then the runtime waits, as it would have.
  } finally {
    underWay = false;
  }
}

let mountPoint: { readonly path: string; readonly key: string } | undefined;

function ownProcsFile(): string {
  mountPoint ??= findHierarchy();
  return join(mountPoint.path, cgroupsOf('self').get(mountPoint.key) ?? '', 'cgroup.procs');
}

/** One is enough: the lock is the same for all. */
function findHierarchy(): { path: string; key: string } {
  const [first] = knownHierarchies();
  if (first === undefined) throw new Error('no cgroups are mounted');
  return { path: first.mountPoint, key: first.version === 2 ? '' : first.controllers.join(',') };
}
