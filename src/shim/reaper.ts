import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind, notFound } from '../errors/error.ts';
import type { Fd } from '../sys/fd.ts';
import { Pidfd } from '../sys/pidfd.ts';
import { findProcess, peekExitedChild, reapChild } from '../sys/process.ts';
import { nodeChildren } from './run-command.ts';

/** How and when a process ended. `status` is 255 where nobody can know: it was no child and the kernel is too old. */
export interface ProcessExit {
  readonly status: number;
  readonly at: Date;
}

/** Status of a process whose end nobody saw, as in containerd. */
export const unknownExitStatus = 255;

/** A process that a runtime started for us, child or adopted: followed by a pidfd, never by its number alone. */
export interface WatchedProcess extends Disposable {
  readonly pid: number;
  /** Clock ticks since boot; with the pid, its name for good. */
  readonly startTicks: bigint;
  /** The handle it is followed by; undefined where it had ended already. */
  readonly pidfd: number | undefined;
  readonly exited: Promise<ProcessExit>;
  /** @returns false where it has ended */
  signal(signal: number): boolean;
}

/** Pids being watched, so that the sweep of orphans leaves their exit codes alone. */
const watched = new Set<number>();

/**
 * Watches a process. One that a runtime has just made may have ended and been reaped as an orphan meanwhile: then its
 * exit is known at once.
 * @param startTicks when given, the process must be the very one that started then
 * @throws not_found (no such process)
 */
export function watchProcess(pid: number, startTicks?: bigint): WatchedProcess {
  const found = findProcess(pid);
  const early = orphans.get(pid);
  if (found === undefined && startTicks === undefined && early !== undefined) return ended(pid, early);
  const pidfd = Pidfd.open(pid);
  if (pidfd === undefined || found === undefined || (startTicks ?? found.startTicks) !== found.startTicks) {
    pidfd?.close();
    throw notFound(`process ${pid}`);
  }
  return follow(pidfd, found.startTicks);
}

/**
 * Watches a process that an earlier shim knew: by the handle it kept, through which the kernel tells the exit however
 * long ago that was (Linux 6.15); without one by pid and start time. What is gone without a trace has exit status 255.
 */
export function watchAgain(pid: number, startTicks: bigint, kept: Fd | undefined): WatchedProcess {
  if (kept !== undefined) return follow(Pidfd.of(kept, pid), startTicks);
  try {
    return watchProcess(pid, startTicks);
  } catch (error) {
    if (!isKind(error, 'not_found')) throw error;
    return ended(pid, { status: unknownExitStatus, at: new Date() }, startTicks);
  }
}

function follow(pidfd: Pidfd, startTicks: bigint): WatchedProcess {
  const { pid } = pidfd;
  watched.add(pid);
  const { promise, resolve } = Promise.withResolvers<ProcessExit>();
  const poll = pidfd.watch(() => void collect(pidfd, startTicks).then(resolve));
  return {
    pid,
    startTicks,
    pidfd: pidfd.fd,
    exited: promise,
    signal: (signal) => pidfd.signal(signal),
    [Symbol.dispose]() {
      watched.delete(pid);
      poll[Symbol.dispose]();
      pidfd.close();
    },
  };
}

const ended = (pid: number, exit: ProcessExit, startTicks = 0n): WatchedProcess => ({
  pid,
  startTicks,
  pidfd: undefined,
  exited: Promise.resolve(exit),
  signal: () => false,
  [Symbol.dispose]() {},
});

/**
 * The exit of an ended process: reaped when it is our child; else what /proc says while its parent has not reaped it
 * yet, or the kernel afterwards (Linux 6.15).
 */
async function collect(pidfd: Pidfd, startTicks: bigint): Promise<ProcessExit> {
  const at = new Date();
  for (let waitMs = 1; waitMs < 2000; waitMs *= 2) {
    const status =
      pidfd.readExit()?.status ?? reapChild(pidfd.pid)?.status ?? zombieStatus(pidfd.pid, startTicks);
    watched.delete(pidfd.pid);
    if (status !== undefined) return { status, at };
    await sleep(waitMs);
  }
  return { status: unknownExitStatus, at };
}

/** Fields of /proc/<pid>/stat, counted from the state (proc_pid_stat(5)): start time and wait status. */
const startTimeField = 19;
const exitCodeField = 49;

/** Exit status of a process that has ended and not been reaped, by whomever's child it is. */
function zombieStatus(pid: number, startTicks: bigint): number | undefined {
  const fields = statFields(pid);
  if (fields[0] !== 'Z' || fields[startTimeField] !== String(startTicks)) return undefined;
  const waitStatus = Number(fields[exitCodeField]);
  const signal = waitStatus & 0x7f;
  return signal === 0 ? (waitStatus >> 8) & 0xff : 128 + signal;
}

function statFields(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** Exits of reaped children that nobody watched, the latest ones: a runtime may still be writing the pid file. */
const orphans = new Map<number, ProcessExit>();
const maxOrphans = 4096;
/** Node reaps what it spawned within this. */
const settleMs = 2;

/**
 * Reaps orphans that became our children, from now on: what daemons in containers leave behind, and what a runtime
 * left that failed. It must be soon: the first process of a pid namespace cannot end before all others are reaped.
 */
export function reapOrphans(): void {
  let pending = false;
  const sweep = () => {
    pending = false;
    if (peekExitedChild() !== undefined) for (const pid of unknownChildren()) reapOrphan(pid);
  };
  process.on('SIGCHLD', () => {
    if (!pending) setTimeout(sweep, settleMs);
    pending = true;
  });
}

function reapOrphan(pid: number): void {
  const exit = reapChild(pid);
  if (exit === undefined) return;
  orphans.delete(pid);
  orphans.set(pid, { status: exit.status, at: new Date() });
  const [oldest] = orphans.keys();
  if (orphans.size > maxOrphans && oldest !== undefined) orphans.delete(oldest);
}

const unknownChildren = (): number[] =>
  children().filter((pid) => !watched.has(pid) && !nodeChildren.has(pid));

/** Orphans are given to any thread of the process, so the children of each count. */
function children(): number[] {
  const pids: number[] = [];
  for (const thread of readdirSync('/proc/self/task')) pids.push(...childrenOf(thread));
  return pids;
}

function childrenOf(thread: string): number[] {
  try {
    const text = readFileSync(`/proc/self/task/${thread}/children`, 'latin1').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}
