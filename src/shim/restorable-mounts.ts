import { codeOf, failedPrecondition } from '../errors/error.ts';
import { openBeneath } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { FdLike } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';

/**
 * criu knows the mounts of a container by keys made of their destinations, and mounts over what it finds there; a link in
 * the root file system, or a destination that looks like a key, would put one of the host elsewhere (CVE-2026-119101).
 * @param root path of the mounted root file system @throws failed_precondition
 */
export function refuseOddDestinations(root: string, destinations: readonly unknown[]): void {
  using top = openAt(AT_FDCWD, root, O_PATH | O_DIRECTORY);
  for (const destination of destinations) {
    if (typeof destination !== 'string') continue;
    if (destination.includes(']:') || hasLink(top, destination.replace(/^\/+/, '')))
      throw failedPrecondition(
        `nothing is restored over mount ${JSON.stringify(destination.slice(0, 200))}: its place is not plain`,
      );
  }
}

function hasLink(root: FdLike, path: string): boolean {
  if (path === '') return false;
  try {
    openBeneath(root, path, O_PATH)[Symbol.dispose]();
    return false;
  } catch (error) {
    // Nothing there yet, or not that deep: the runtime makes it.
    if (codeOf(error) === 'ENOENT') return false;
    return true;
  }
}
