import { readdirSync, readlinkSync } from 'node:fs';

/**
 * How many descriptors a process has open. Not counted: its userfaultfd, which a daemon opens in its first quiet moment,
 * sooner or later than a test has counted, and keeps.
 */
export const openFds = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => targetOf(pid, fd) !== 'anon_inode:[userfaultfd]').length;

/** What a descriptor stands for; undefined when it has been closed meanwhile. */
function targetOf(pid: number, fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}
