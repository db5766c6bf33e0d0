import { readFile } from 'node:fs/promises';
import { humanSize, printable } from './output/text.ts';

/** One process of a container, as this machine sees it. */
export interface ProcessRow {
  readonly UID: number;
  readonly PID: number;
  readonly PPID: number;
  /** ps's letters: R running, S sleeping, D waiting for a device, T stopped, Z a zombie. */
  readonly State: string;
  /** Of all CPUs, `HH:MM:SS`. */
  readonly Time: string;
  readonly RSS: string;
  readonly Command: string;
}

/** What /proc says of these processes, in the order of their ids; those that have ended meanwhile are left out. */
export async function listProcesses(pids: readonly number[]): Promise<ProcessRow[]> {
  const rows = await Promise.all(pids.toSorted((a, b) => a - b).map(readProcess));
  return rows.filter((row) => row !== undefined);
}

/** Ticks a second in /proc, the same on every Linux (USER_HZ, time(7)). */
const ticksPerSecond = 100;

async function readProcess(pid: number): Promise<ProcessRow | undefined> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8');
  try {
    const [stat, status, line] = await Promise.all([read('stat'), read('status'), read('cmdline')]);
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    const command = line.replace(/\0+$/, '').replaceAll('\0', ' ');
    return {
      UID: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
      PID: pid,
      PPID: Number(fields[1]),
      State: fields[0] ?? '?',
      Time: clock((Number(fields[11]) + Number(fields[12])) / ticksPerSecond),
      RSS: humanSize(kilobytes * 1024),
      Command: printable(command === '' ? `[${name}]` : command),
    };
  } catch {
    return undefined;
  }
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}
