import { type BigIntStats, readdirSync, readSync, rmSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, isKind } from '../errors/error.ts';
import { removeCgroup } from '../sys/cgroup.ts';
import type { Fd } from '../sys/fd.ts';
import { pollReadable } from '../sys/ffi.ts';
import { openFifo } from '../sys/fifo.ts';
import type { TaskRequest } from './task-record.ts';

/**
 * Two commands of runc and crun are less work than the start of either (5 ms and more each): they are done here,
 * where everything is as it is in the usual container; in any other case these answer false and the runtime itself is asked.
 */

/**
 * `runc start`: the container's first process waits until somebody has read the byte that it writes to exec.fifo, and
 * runc takes a container without that file for a started one (runc 1.0 to 1.4, libcontainer's factory and container).
 * `ended`: settles when that process has ended. @returns false where there is no such FIFO, or the process ended before
 */
export async function startRunc(containerDir: string, ended: Promise<unknown>): Promise<boolean> {
  const path = fifoOf(containerDir);
  // For both: a reader alone would see the end of the file where the process has not opened it yet.
  using fifo = openIfFifo(path, 'both');
  if (fifo === undefined) return false;
  await readableOr(fifo, ended);
  if (!hasByte(fifo)) return false;
  unlinkSync(path);
  return true;
}

/**
 * `crun start` of a container without poststart hooks: its first process waits for a byte in exec.fifo, and crun takes a
 * container without that file for a started one (crun 0.10 to 1.28, libcrun's status). @returns false where there is no such
 * FIFO, or the process that read it is gone
 */
export function startCrun(containerDir: string): boolean {
  const path = fifoOf(containerDir);
  using fifo = openIfFifo(path, 'write');
  if (fifo === undefined || !tookByte(fifo)) return false;
  unlinkSync(path);
  return true;
}

/**
 * Finishes a start whose shim was killed in the middle, where the first process went on: it holds exec.fifo only while it
 * waits, but as long as the file is there the runtime takes the container for one that was never started. Idempotent.
 * @returns whether it went on
 */
export function finishStart(containerDir: string, pid: number): boolean {
  const path = fifoOf(containerDir);
  const fifo = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (fifo === undefined || holds(pid, fifo)) return false;
  rmSync(path, { force: true });
  return true;
}

/**
 * `delete` of a container whose processes are gone: its cgroups and the runtime's directory of it. `cgroup`: its path in
 * every hierarchy. @returns false where anything is left in a cgroup
 */
export async function deleteContainer(containerDir: string, cgroup: string): Promise<boolean> {
  try {
    await removeCgroup(cgroup, cgroupEndMs);
  } catch (error) {
    if (codeOf(error) === 'EBUSY' || isKind(error, 'invalid_argument')) return false;
    throw error;
  }
  await rm(containerDir, { recursive: true, force: true });
  return true;
}

/** Where the runtime keeps a container. */
export const containerDirOf = ({ id, runtime }: TaskRequest): string => join(runtime.root, id);

const cgroupEndMs = 50;

const fifoOf = (containerDir: string): string => join(containerDir, 'exec.fifo');

/** Whether the process has that file open; also where nobody can tell. */
function holds(pid: number, { dev, ino }: BigIntStats): boolean {
  const fds = `/proc/${pid}/fd`;
  const isIt = (fd: string): boolean => {
    const open = statSync(join(fds, fd), { bigint: true, throwIfNoEntry: false });
    return open?.ino === ino && open.dev === dev;
  };
  try {
    return readdirSync(fds).some(isIt);
  } catch {
    return true;
  }
}

function openIfFifo(path: string, access: 'both' | 'write'): Fd | undefined {
  try {
    return openFifo(path, access);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENXIO' || isKind(error, 'failed_precondition'))
      return undefined;
    throw error;
  }
}

async function readableOr(fifo: Fd, ended: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = pollReadable(fifo.fd, resolve);
  await Promise.race([promise, ended]);
}

function tookByte(fifo: Fd): boolean {
  try {
    return writeSync(fifo.fd, Buffer.alloc(1)) === 1;
  } catch (error) {
    if (codeOf(error) === 'EPIPE') return false;
    throw error;
  }
}

function hasByte(fifo: Fd): boolean {
  try {
    return readSync(fifo.fd, Buffer.alloc(1)) === 1;
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return false;
    throw error;
  }
}
