import { readFileSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { check, libcCall } from './ffi.ts';

const prctlCall = libcCall('prctl', ['int', 'uint64', 'uint64', 'uint64', 'uint64']);
const waitidCall = libcCall('waitid', ['int', 'uint32', 'void *', 'int']);
const PR_SET_CHILD_SUBREAPER = 36;

/** Orphans among this process's descendants become its children from now on. @throws SysError */
export function becomeSubreaper(): void {
  check('prctl', prctlCall(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

/** How a process ended. */
export interface Exit {
  readonly pid: number;
  /** What a shell and containerd say: the exit code, or 128 + the signal's number. */
  readonly status: number;
  /** The signal that ended it; 0 when it exited by itself. */
  readonly signal: number;
}

const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const ECHILD = 10;
const CLD_EXITED = 1;
const siginfo = Buffer.alloc(128);

/**
 * A child that has ended, left unreaped, or undefined. Always the same one until somebody reaps it, so one that Node
 * itself spawned (and reaps) hides others for a moment: ask again on the next SIGCHLD or turn of the loop.
 */
export const peekExitedChild = (): Exit | undefined => waitFor(P_ALL, 0, WEXITED | WNOHANG | WNOWAIT);

/** Reaps child `pid` if it has ended; undefined while it runs or when it is no child. Never for what Node spawned. */
export const reapChild = (pid: number): Exit | undefined => waitFor(P_PID, pid, WEXITED | WNOHANG);

function waitFor(idType: number, id: number, options: number): Exit | undefined {
  siginfo.fill(0, 0, 32);
  const result = waitidCall(idType, id, siginfo, options);
  if (result === -ECHILD) return undefined;
  check('waitid', result);
  // Offsets of siginfo_t: si_code 8, si_pid 16, si_status 24.
  const pid = siginfo.readInt32LE(16);
  const status = siginfo.readInt32LE(24);
  if (pid === 0) return undefined;
  return siginfo.readInt32LE(8) === CLD_EXITED
    ? { pid, status, signal: 0 }
    : { pid, status: 128 + status, signal: status };
}

/** From /proc/<pid>/stat. */
export interface ProcessStat {
  readonly pid: number;
  readonly parentPid: number;
  /** `R`, `S`, `D`, `T`, `Z` (ended, not reaped), … */
  readonly state: string;
  /** Clock ticks since boot. With the pid, names a process for good: pids are used again. */
  readonly startTicks: bigint;
}

/** undefined where there is no such process. */
export function findProcess(pid: number): ProcessStat | undefined {
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/** The name of a program may hold spaces and parentheses, so fields count from the last one. */
export function parseStat(pid: number, text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parentPid] = fields;
  const startTicks = fields[19];
  if (!state || !parentPid || !startTicks) return undefined;
  return { pid, parentPid: Number(parentPid), state, startTicks: BigInt(startTicks) };
}

/** Does the very process with this start time still run (a zombie does not)? */
export function isAlive(pid: number, startTicks: bigint): boolean {
  const found = findProcess(pid);
  return found !== undefined && found.startTicks === startTicks && found.state !== 'Z' && found.state !== 'X';
}

/** Signals a process, or with a negative pid a group. @returns false where it is gone. @throws EPERM, EINVAL */
export function signalProcess(pid: number, signal: number): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    throw error;
  }
}
