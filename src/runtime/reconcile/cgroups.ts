import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors/error.ts';
import { cgroupDirectories, listCgroupPids, removeCgroup } from '../../sys/cgroup.ts';
import type { Finding, TaskKey } from './finding.ts';

/**
 * Cgroups of tasks, remembered while their bundles are there: one that outlives its bundle is a leak. An empty one is
 * removed; one with processes in it is left, because nobody can say any more whose they are.
 */
export class TaskCgroups {
  readonly #paths = new Map<string, string>();

  /** @param bundles those that are there now, with their paths */
  async check(bundles: ReadonlyMap<string, TaskKey & { readonly path: string }>): Promise<Finding[]> {
    for (const [key, { path }] of bundles)
      if (!this.#paths.has(key)) this.#paths.set(key, await cgroupOf(path));
    const used = new Set([...bundles.keys()].map((key) => this.#paths.get(key)));
    const found: Finding[] = [];
    for (const [key, cgroup] of this.#paths) {
      if (bundles.has(key)) continue;
      const finding = used.has(cgroup) ? undefined : await removeLeft(cgroup);
      if (finding === undefined || finding.repaired) this.#paths.delete(key);
      if (finding !== undefined) found.push(finding);
    }
    return found;
  }
}

/** '' where the specification names none that is a path of ours to judge (a systemd slice is systemd's). */
async function cgroupOf(bundle: string): Promise<string> {
  try {
    const spec = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as {
      linux?: { cgroupsPath?: unknown };
    };
    const path = spec.linux?.cgroupsPath;
    return typeof path === 'string' && path.startsWith('/') ? path : '';
  } catch {
    return '';
  }
}

async function removeLeft(cgroup: string): Promise<Finding | undefined> {
  if (cgroup === '') return undefined;
  try {
    if (cgroupDirectories(cgroup).length === 0) return undefined;
    const pids = listCgroupPids(cgroup);
    if (pids.length > 0)
      return left(cgroup, `its task is gone, processes ${pids.slice(0, 8)} are in it`, false);
    await removeCgroup(cgroup, 0);
    return left(cgroup, 'its task is gone', true);
  } catch (error) {
    return left(cgroup, messageOf(error), false);
  }
}

const left = (what: string, why: string, repaired: boolean): Finding => ({
  kind: 'cgroup',
  what,
  why,
  repaired,
});
