import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bundlesDir } from '../../rpc/ttrpc-shim.ts';
import { listMounts } from '../../sys/mountinfo.ts';
import { namesInSync } from '../../sys/names-in.ts';
import type { Finding } from './finding.ts';

/** Roots of tasks that are mounted twice: one of them will be left when the task goes. */
export function checkMounts(stateDir: string): Finding[] {
  const root = `${join(stateDir, bundlesDir)}/`;
  const points = listMounts()
    .map(({ mountPoint }) => mountPoint)
    .filter((point) => point.startsWith(root));
  const twice = points.filter((point, i) => points.indexOf(point) !== i);
  return twice.map((what) => ({ kind: 'mount', what, why: 'it is mounted more than once', repaired: false }));
}

/**
 * Shims that should not be: a second berth-shim of this state directory, and shims of others whose bundle is gone while
 * their daemon knows no task of them. Both are only told: a process may be there for reasons that are not seen from here.
 * @param knowsForeign whether there is any task of a shim of others: one of a group stays in the bundle of a task that is gone
 */
export function checkProcesses(stateDir: string, knowsForeign: boolean): Finding[] {
  const pids = namesInSync('/proc').filter((name) => /^\d+$/.test(name));
  const own = pids.filter((pid) => titleOf(pid) === `berth-shim ${stateDir}`);
  const bundles = `${join(stateDir, bundlesDir)}/`;
  const lost = knowsForeign ? [] : pids.filter((pid) => isIn(pid, bundles));
  return [
    ...own.slice(1).map((pid) => found('shim', pid, 'there is more than one berth-shim')),
    ...lost.map((pid) => found('process', pid, 'it works in a bundle, and no task is known there')),
  ];
}

const found = (kind: 'shim' | 'process', pid: string, why: string): Finding => ({
  kind,
  what: `process ${pid}`,
  why,
  repaired: false,
});

function titleOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function isIn(pid: string, directory: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(directory);
  } catch {
    return false;
  }
}
