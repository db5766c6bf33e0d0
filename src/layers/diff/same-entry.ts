import { readSync } from 'node:fs';
import { O_NONBLOCK, O_RDONLY, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG } from '../../sys/constants.ts';
import { openAt, readlinkAt } from '../../sys/files.ts';
import { type FileStat, typeOf } from '../../sys/stat.ts';
import { toPath } from '../member-path.ts';
import { layerXattrs, type TreeEntry } from './tree-entry.ts';

/**
 * Whether two files of the same path are the same to whoever reads them. Contents are compared only where a time of
 * whole seconds may hide a change (tars keep no more); else size and time decide, as in containerd.
 */
export function isSameEntry(left: TreeEntry, right: TreeEntry): boolean {
  if (
    left.stat.mode !== right.stat.mode ||
    left.stat.uid !== right.stat.uid ||
    left.stat.gid !== right.stat.gid
  )
    return false;
  if (isSameFile(left.stat, right.stat)) return true;
  return left.stat.mtimeNs === right.stat.mtimeNs && hasSameData(left, right) && hasSameXattrs(left, right);
}

const isSameFile = (a: FileStat, b: FileStat): boolean =>
  a.ino === b.ino && a.dev.major === b.dev.major && a.dev.minor === b.dev.minor && typeOf(a) !== S_IFDIR;

function hasSameData(left: TreeEntry, right: TreeEntry): boolean {
  const [a, b] = [left.stat, right.stat];
  switch (typeOf(a)) {
    case S_IFLNK:
      return linkOf(left).equals(linkOf(right));
    case S_IFCHR:
    case S_IFBLK:
      return a.rdev.major === b.rdev.major && a.rdev.minor === b.rdev.minor;
    case S_IFREG:
      return a.sizeBytes === b.sizeBytes && (a.mtimeNs % 1_000_000_000n !== 0n || hasSameBytes(left, right));
    default:
      return true;
  }
}

const linkOf = ({ directory, name }: TreeEntry): Buffer => readlinkAt(directory.fd, toPath(name));

const chunkBytes = 256 * 1024;
const buffers = [Buffer.alloc(chunkBytes), Buffer.alloc(chunkBytes)] as const;

function hasSameBytes(left: TreeEntry, right: TreeEntry): boolean {
  if (left.stat.sizeBytes === 0) return true;
  using a = openAt(left.directory.fd, toPath(left.name), O_RDONLY | O_NONBLOCK);
  using b = openAt(right.directory.fd, toPath(right.name), O_RDONLY | O_NONBLOCK);
  for (let at = 0; at < left.stat.sizeBytes; ) {
    const length = readSync(a.fd, buffers[0], 0, chunkBytes, at);
    if (length === 0 || readSync(b.fd, buffers[1], 0, length, at) !== length) return false;
    if (buffers[0].compare(buffers[1], 0, length, 0, length) !== 0) return false;
    at += length;
  }
  return true;
}

function hasSameXattrs(left: TreeEntry, right: TreeEntry): boolean {
  const [a, b] = [layerXattrs(left), layerXattrs(right)];
  return (
    a.length === b.length && a.every(([name, value], i) => b[i]?.[0] === name && b[i]?.[1].equals(value))
  );
}
