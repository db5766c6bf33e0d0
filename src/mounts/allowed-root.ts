import { basename, dirname, normalize } from 'node:path';
import { codeOf, notImplemented } from '../errors/error.ts';
import { openBeneath } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { type FileStat, statAt } from '../sys/stat.ts';

/** A place below an allowed root. */
export interface Place {
  readonly root: string;
  /** From the root, without a slash in front; '' for the root itself. */
  readonly below: string;
}

/** Which root `path` is below; `..` does not lead out of it. @throws not_implemented (none), in containerd's words */
export function placeOf(roots: readonly string[], path: string, what: string): Place {
  const [root] = roots
    .filter((one) => path === one || path.startsWith(`${one}/`))
    .sort((a, b) => b.length - a.length);
  if (root === undefined)
    throw notImplemented(`no root ${JSON.stringify(path)} configured for ${what}: not implemented`);
  return { root, below: normalize(path.slice(root.length) || '/').replace(/^\/+|\/+$/g, '') };
}

/** The directory that a place is in, reached without following a link. @throws SysError */
export function openParent({ root, below }: Place): Fd {
  using base = openAt(AT_FDCWD, root, O_PATH | O_DIRECTORY);
  const parent = dirname(below);
  return openBeneath(base, parent === '.' ? '' : parent, O_PATH | O_DIRECTORY);
}

export const nameIn = ({ below }: Place): string => basename(below);

/** What is there, a link itself; undefined where nothing is. @throws SysError */
export function statPlace(parent: Fd, place: Place): FileStat | undefined {
  try {
    return statAt(parent, nameIn(place));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
