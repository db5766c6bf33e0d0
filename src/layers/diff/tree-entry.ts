import { readdirSync } from 'node:fs';
import { codeOf } from '../../errors/error.ts';
import { openBeneath } from '../../sys/beneath.ts';
import { O_DIRECTORY, O_RDONLY, S_IFCHR } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { type FileStat, statAt, typeOf } from '../../sys/stat.ts';
import { getXattr, listXattrs, pathIn } from '../../sys/xattr.ts';
import { toPath } from '../member-path.ts';
import type { ByteString } from '../tar-entry.ts';

/** A directory of one of the two trees, open for reading. */
export interface OpenDirectory {
  readonly fd: Fd;
  /** '' for the top. */
  readonly path: ByteString;
}

/** One file (of any kind) of a tree. */
export interface TreeEntry {
  readonly directory: OpenDirectory;
  readonly name: ByteString;
  readonly path: ByteString;
  readonly stat: FileStat;
}

/** Opens a directory beneath `root`; undefined when it is gone. @throws SysError */
export function openDirectory(root: Fd, path: ByteString): (OpenDirectory & Disposable) | undefined {
  try {
    const fd = openBeneath(root, toPath(path), O_RDONLY | O_DIRECTORY);
    return { fd, path, [Symbol.dispose]: () => fd.close() };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** What is in a directory, by name. What vanishes meanwhile is left out. */
export function readEntries(directory: OpenDirectory): Map<ByteString, TreeEntry> {
  const entries = new Map<ByteString, TreeEntry>();
  for (const bytes of readdirSync(directory.fd.procPath, { encoding: 'buffer' })) {
    const entry = readEntry(directory, bytes.toString('latin1'));
    if (entry) entries.set(entry.name, entry);
  }
  return entries;
}

export function readEntry(directory: OpenDirectory, name: ByteString): TreeEntry | undefined {
  try {
    const stat = statAt(directory.fd, toPath(name));
    return { directory, name, path: directory.path === '' ? name : `${directory.path}/${name}`, stat };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A 0:0 character device: in a directory of overlayfs it says that the name is deleted. */
export const isWhiteout = ({ stat }: TreeEntry): boolean =>
  typeOf(stat) === S_IFCHR && stat.rdev.major === 0 && stat.rdev.minor === 0;

/** Attributes that belong into a layer, sorted by name: users' own, capabilities and access lists. */
export function layerXattrs({ directory, name }: TreeEntry): [name: ByteString, value: Buffer][] {
  const path = pathIn(directory.fd, toPath(name));
  const found: [ByteString, Buffer][] = [];
  for (const key of namesOf(path).sort()) {
    const value = isOfLayer(key) ? getXattr(path, toPath(key)) : undefined;
    if (value !== undefined) found.push([key, value]);
  }
  return found;
}

function namesOf(path: string | Uint8Array): ByteString[] {
  try {
    return listXattrs(path).map((name) => name.toString('latin1'));
  } catch (error) {
    if (isGone(error) || codeOf(error) === 'ENOTSUP' || codeOf(error) === 'EOPNOTSUPP') return [];
    throw error;
  }
}

const isOfLayer = (name: ByteString): boolean =>
  (name.startsWith('user.') && !name.startsWith('user.overlay.')) ||
  name === 'security.capability' ||
  name.startsWith('system.posix_acl_');

/** Whether a file went away, or became something else, since it was listed. */
export const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(codeOf(error) ?? '');
