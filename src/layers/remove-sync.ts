import { readdirSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { O_DIRECTORY, O_RDONLY } from '../sys/constants.ts';
import type { Fd, FdLike } from '../sys/fd.ts';
import type { Path } from '../sys/ffi.ts';
import { openAt, renameAt, rmdirAt, unlinkAt } from '../sys/files.ts';

const maxDepth = 32;

/**
 * Removes a file or tree by descriptor, following nothing, for workers that cannot wait (see sys/remove-tree.ts).
 * Absent is fine. @throws SysError
 */
export function removeSync(dir: FdLike, name: Path): void {
  const removal = { hoisted: 0 };
  const top = unlinkOrOpen(dir, name);
  if (top === undefined) return;
  using root = top;
  do removeEntries(removal, root, root, 0);
  while (!rmdirIfEmpty(dir, name));
}

function removeEntries(removal: { hoisted: number }, root: Fd, dir: Fd, depth: number): void {
  for (const name of readdirSync(dir.procPath, { encoding: 'buffer' })) {
    const opened = unlinkOrOpen(dir, name);
    if (opened === undefined) continue;
    using child = opened;
    // Too deep for one descriptor a level: move it up, the top is read again until it is empty.
    if (depth >= maxDepth) renameAt(dir, name, root, `.berth-removing-${removal.hoisted++}`);
    else
      do removeEntries(removal, root, child, depth + 1);
      while (!rmdirIfEmpty(dir, name));
  }
}

function unlinkOrOpen(dir: FdLike, name: Path): Fd | undefined {
  try {
    unlinkAt(dir, name);
    return undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) !== 'EISDIR') throw error;
  }
  return openAt(dir, name, O_RDONLY | O_DIRECTORY);
}

function rmdirIfEmpty(dir: FdLike, name: Path): boolean {
  try {
    rmdirAt(dir, name);
  } catch (error) {
    if (codeOf(error) === 'ENOTEMPTY') return false;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  return true;
}
