import { codeOf } from '../errors/error.ts';
import { findInRoot } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_NOFOLLOW, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { statFd } from '../sys/stat.ts';
import { getXattr, listXattrs, pathIn } from '../sys/xattr.ts';
import { toPath } from './member-path.ts';
import type { ByteString } from './tar-entry.ts';

/** What a directory of a layer gets from the one below it. */
export interface DirectoryAttributes {
  /** The lower 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  /** All but overlayfs' own. */
  readonly xattrs: readonly (readonly [name: Buffer, value: Buffer])[];
}

/** Calls `give` for each path that the lower directories, nearest first, have a directory at. `index` counts in `paths`. */
export function inheritAttributes(
  lower: readonly string[],
  paths: readonly ByteString[],
  give: (attributes: DirectoryAttributes, path: ByteString, index: number) => void,
): void {
  using roots = new DisposableStack();
  const lowers = lower.map((path) => roots.use(openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY)));
  for (const [index, path] of paths.entries()) {
    using from = findLower(lowers, path);
    if (from !== undefined) give(attributesOf(from), path, index);
  }
}

/** In the nearest layer that has it. One that has something else there, a whiteout too, hides those below. */
function findLower(lowers: readonly Fd[], path: ByteString): Fd | undefined {
  for (const root of lowers) {
    const found = findDirectory(root, path);
    if (found !== undefined) return found ?? undefined;
  }
  return undefined;
}

/** Undefined where there is nothing, null where there is something else. */
export function findDirectory(root: Fd, path: ByteString): Fd | null | undefined {
  try {
    return findInRoot(root, toPath(path), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOTDIR' || code === 'ELOOP') return null;
    throw error;
  }
}

function attributesOf(directory: Fd): DirectoryAttributes {
  const { mode, uid, gid, atimeNs, mtimeNs } = statFd(directory);
  const xattrs: [Buffer, Buffer][] = [];
  for (const name of listXattrs(pathIn(directory, '.'))) {
    if (name.toString('latin1').includes('.overlay.')) continue;
    const value = getXattr(pathIn(directory, '.'), name);
    if (value !== undefined) xattrs.push([name, value]);
  }
  return { mode: mode & 0o7777, uid, gid, atimeNs, mtimeNs, xattrs };
}
