import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { notFound } from '../errors/error.ts';
import { Pidfd } from '../sys/pidfd.ts';
import { findProcess, reapChild } from '../sys/process.ts';
import { nodeChildren } from './run-command.ts';

/** How and when a process ended. `status` is 255 where nobody can know: it was no child and the kernel is too old. */
export interface ProcessExit {
  readonly status: number;
  readonly at: Date;
}

export const unknownExitStatus = 255;

/** A process that a runtime started for us, child or adopted: followed by a pidfd, never by its number alone. */
export interface WatchedProcess extends Disposable {
  readonly pid: number;
  /** Clock ticks since boot; with the pid, its name for good. */
  readonly startTicks: bigint;
  readonly exited: Promise<ProcessExit>;
  /** @returns false where it has ended */
  signal(signal: number): boolean;
}

/** Pids being watched, so that the sweep of orphans leaves their exit codes alone. */
const watched = new Set<number>();

/**
 * Watches a process, which may have ended already but must not be reaped yet.
 * @param startTicks when given, the process must be the very one that started then
 * @throws not_found (no such process)
 */
export function watchProcess(pid: number, startTicks?: bigint): WatchedProcess {
  const pidfd = Pidfd.open(pid);
  const found = findProcess(pid);
  if (pidfd === undefined || found === undefined || (startTicks ?? found.startTicks) !== found.startTicks) {
    pidfd?.close();
    throw notFound(`process ${pid}`);
  }
  watched.add(pid);
  const { promise, resolve } = Promise.withResolvers<ProcessExit>();
  const poll = pidfd.watch(() => void collect(pidfd, found.startTicks).then(resolve));
  return {
    pid,
    startTicks: found.startTicks,
    exited: promise,
    signal: (signal) => pidfd.signal(signal),
    [Symbol.dispose]() {
      watched.delete(pid);
      poll[Symbol.dispose]();
      pidfd.close();
    },
  };
}

/**
 * The exit of an ended process: reaped when it is our child; else what /proc says while its parent has not reaped it
 * yet, or the kernel afterwards (Linux 6.15).
 */
async function collect(pidfd: Pidfd, startTicks: bigint): Promise<ProcessExit> {
  const at = new Date();
  for (let waitMs = 1; waitMs < 2000; waitMs *= 2) {
    const status =
      reapChild(pidfd.pid)?.status ?? zombieStatus(pidfd.pid, startTicks) ?? pidfd.readExit()?.status;
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

/** How long a child that nobody knows stays unreaped: a runtime may still be writing the pid file that names it. */
const graceMs = 10_000;

/**
 * Reaps orphans that became our children (what daemons in containers leave behind), from now on. They are looked at
 * after a SIGCHLD, and reaped when found ended twice, so that a short-lived exec keeps its exit code.
 */
export function reapOrphans(): void {
  let suspects = new Set<number>();
  const sweep = () => {
    const ended = unknownEndedChildren();
    for (const pid of ended) if (suspects.has(pid)) reapChild(pid);
    suspects = new Set(ended.filter((pid) => !suspects.has(pid)));
    if (suspects.size > 0) later.refresh();
  };
  const later = setTimeout(sweep, graceMs).unref();
  // A burst of exits must not put the sweep off for ever.
  let lastMs = 0;
  process.on('SIGCHLD', () => {
    if (Date.now() - lastMs < graceMs) return;
    lastMs = Date.now();
    later.refresh();
  });
}

const unknownEndedChildren = (): number[] =>
  children().filter((pid) => !watched.has(pid) && !nodeChildren.has(pid) && findProcess(pid)?.state === 'Z');

/** Orphans are given to any thread of the process, so the children of each count. */
function children(): number[] {
  const pids: number[] = [];
  for (const thread of readdirSync('/proc/self/task')) {
    pids.push(...childrenOf(thread));
  }
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
