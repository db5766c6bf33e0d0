import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeCgroup } from '../sys/cgroup.ts';
import { signalProcess } from '../sys/process.ts';
import { OciRuntime } from './oci-runtime.ts';
import { removeRecord, type TaskRecord } from './task-record.ts';
import { cgroupPathOf, unmountRootfs } from './task-rootfs.ts';

const SIGKILL = 9;
const runtimeEndMs = 2_000;
const cgroupEndMs = 2_000;

/** Undoes a create that its shim did not live to finish, however far it came. The bundle is the daemon's to remove. Never throws. */
export async function discardHalfMade(record: TaskRecord): Promise<void> {
  const { id, bundle, runtime } = record;
  await endRuntimes(bundle);
  await undoCreate(new OciRuntime(runtime, join(bundle, 'log.json')), id, bundle);
  await unmountRootfs(record).catch(() => {});
  removeRecord(bundle);
}

/**
 * Undoes what a runtime that is gone has made: what it wrote down is deleted, and so is the cgroup that one killed
 * early left without a word of it. Never throws.
 */
export async function undoCreate(runtime: OciRuntime, id: string, bundle: string): Promise<void> {
  await runtime.delete(id).catch(() => {});
  await removeOwnCgroup(bundle).catch(() => {});
}

/** Kills what still makes or restores the container of a bundle, and waits for its end. */
export async function endRuntimes(bundle: string): Promise<void> {
  const endMs = Date.now() + runtimeEndMs;
  for (let pids = runtimesOf(bundle); pids.length > 0 && Date.now() < endMs; pids = runtimesOf(bundle)) {
    for (const pid of pids) signalProcess(pid, SIGKILL);
    await sleep(5);
  }
}

/** Processes with `create` or `restore` and the bundle among their arguments: nobody else says both. */
const runtimesOf = (bundle: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isRuntimeOf(argumentsOf(name), bundle))
    .map(Number);

const isRuntimeOf = (words: readonly string[], bundle: string): boolean =>
  (words.includes('create') || words.includes('restore')) && words[words.indexOf('--bundle') + 1] === bundle;

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

/** Only an empty one goes: a path that others share stays theirs. A systemd slice is systemd's to remove. */
async function removeOwnCgroup(bundle: string): Promise<void> {
  const path = cgroupPathOf(bundle);
  if (path.startsWith('/')) await removeCgroup(path, cgroupEndMs);
}
