import { readSync } from 'node:fs';
import { rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, isKind } from '../errors/error.ts';
import { removeCgroup } from '../sys/cgroup.ts';
import type { Fd } from '../sys/fd.ts';
import { pollReadable } from '../sys/ffi.ts';
import { openFifo } from '../sys/fifo.ts';
import type { TaskRequest } from './task-record.ts';

/**
 * Two of runc's commands are less work than the start of a runc (5 ms and more each): they are done here,
 * where everything is as it is in the usual container; in any other case these answer false and runc itself is asked.
 */

/**
 * `runc start`: the container's first process waits until somebody has read the byte that it writes to exec.fifo, and
 * runc takes a container without that file for a started one (runc 1.0 to 1.4, libcontainer's factory and container).
 * `ended`: settles when that process has ended. @returns false where there is no such FIFO, or the process ended before
 */
export async function startRunc(containerDir: string, ended: Promise<unknown>): Promise<boolean> {
  const path = join(containerDir, 'exec.fifo');
  // For both: a reader alone would see the end of the file where the process has not opened it yet.
  using fifo = openIfFifo(path);
  if (fifo === undefined) return false;
  await readableOr(fifo, ended);
  if (!hasByte(fifo)) return false;
  await unlink(path);
  return true;
}

/**
 * `runc delete` of a container whose processes are gone: its cgroups and runc's directory of it. `cgroup`: its path in
 * every hierarchy. @returns false where anything is left in a cgroup
 */
export async function deleteRunc(containerDir: string, cgroup: string): Promise<boolean> {
  try {
    await removeCgroup(cgroup, cgroupEndMs);
  } catch (error) {
    if (codeOf(error) === 'EBUSY' || isKind(error, 'invalid_argument')) return false;
    throw error;
  }
  await rm(containerDir, { recursive: true, force: true });
  return true;
}

/** Where runc keeps a container. */
export const runcDir = ({ id, runtime }: TaskRequest): string => join(runtime.root, id);

const cgroupEndMs = 50;

function openIfFifo(path: string): Fd | undefined {
  try {
    return openFifo(path, 'both');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || isKind(error, 'failed_precondition')) return undefined;
    throw error;
  }
}

async function readableOr(fifo: Fd, ended: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = pollReadable(fifo.fd, resolve);
  await Promise.race([promise, ended]);
}

function hasByte(fifo: Fd): boolean {
  try {
    return readSync(fifo.fd, Buffer.alloc(1)) === 1;
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return false;
    throw error;
  }
}
