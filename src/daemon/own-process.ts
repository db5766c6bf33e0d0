import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { wrap } from '../errors/error.ts';
import { knownHierarchies } from '../sys/cgroup.ts';

const oomFile = '/proc/self/oom_score_adj';
let scoreAtStart: string | undefined;

/**
 * Makes the kernel spare this process, or not, when memory runs out (-1000 to 1000); 0: as it was started.
 * @throws unknown: only root may ask for less than there was
 */
export function setOomScore(score: number): void {
  const now = readFileSync(oomFile, 'utf8').trim();
  scoreAtStart ??= now;
  const wanted = score === 0 ? scoreAtStart : String(score);
  if (now === wanted) return;
  try {
    writeFileSync(oomFile, wanted);
  } catch (error) {
    throw wrap(error, `oom_score ${score}`);
  }
}

/**
 * Moves this process to the cgroup at `path` of every hierarchy, made where missing; '' leaves it where it is. Not in
 * cpuset of version 1, where a new cgroup has no processor. @throws unknown, naming the path
 */
export function joinCgroup(path: string): void {
  if (path === '') return;
  for (const { mountPoint, controllers } of knownHierarchies()) {
    if (controllers.includes('cpuset') && !controllers.includes('memory')) continue;
    const directory = join(mountPoint, normalize(path));
    try {
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'cgroup.procs'), String(process.pid));
    } catch (error) {
      throw wrap(error, `cgroup.path ${path}`);
    }
  }
}
