import { constants, copyFileSync, readdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { openBeneath } from '../../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY, S_IFDIR, S_IFLNK, S_IFREG } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import {
  chmodAt,
  chownAt,
  linkFd,
  mkdirAt,
  mknodAt,
  openAt,
  readlinkAt,
  symlinkAt,
  utimesAt,
} from '../../sys/files.ts';
import { type FileStat, statAt, statFd, typeOf } from '../../sys/stat.ts';
import { getXattr, listXattrs, pathIn, setXattr } from '../../sys/xattr.ts';

const sliceMs = 5;
/** Larger files are copied on another thread. */
const smallBytes = 64 * 1024;
const slash = Buffer.from('/');

interface Copy {
  /** The top of the copy. */
  readonly root: Fd;
  /** Where the first name of a file with several went, by inode. */
  readonly linked: Map<bigint, Buffer>;
  sliceStart: number;
}

/**
 * Copies a tree into an empty directory: contents (sharing their blocks where the file system can, FICLONE), owners,
 * modes, times to the nanosecond, xattrs, hard links, devices. Lets the event loop run every few milliseconds. `from`
 * must not change meanwhile. @throws SysError
 */
export async function copyTree(from: string, to: string): Promise<void> {
  using source = openAt(AT_FDCWD, from, O_RDONLY | O_DIRECTORY);
  using root = openAt(AT_FDCWD, to, O_RDONLY | O_DIRECTORY);
  const copy: Copy = { root, linked: new Map(), sliceStart: performance.now() };
  await copyEntries(copy, source, root, Buffer.alloc(0));
  copyAttributes(pathIn(source, '.'), root, '.', statFd(source));
}

async function copyEntries(copy: Copy, from: Fd, to: Fd, path: Buffer): Promise<void> {
  for (const name of readdirSync(from.procPath, { encoding: 'buffer' })) {
    const below = path.length === 0 ? name : Buffer.concat([path, slash, name]);
    await copyEntry(copy, from, to, name, below);
    if (performance.now() - copy.sliceStart < sliceMs) continue;
    await setImmediate();
    copy.sliceStart = performance.now();
  }
}

async function copyEntry(copy: Copy, from: Fd, to: Fd, name: Buffer, path: Buffer): Promise<void> {
  const stat = statAt(from, name);
  const type = typeOf(stat);
  if (type === S_IFDIR) await copyDirectory(copy, from, to, name, path);
  else if (linkAgain(copy, stat, to, name, path)) return;
  else if (type === S_IFREG) await copyContent(from, to, name, stat);
  else if (type === S_IFLNK) symlinkAt(readlinkAt(from, name), to, name);
  else mknodAt(to, name, stat.mode, stat.rdev.major, stat.rdev.minor);
  copyAttributes(pathIn(from, name), to, name, stat);
}

async function copyDirectory(copy: Copy, from: Fd, to: Fd, name: Buffer, path: Buffer): Promise<void> {
  mkdirAt(to, name, 0o700);
  using source = openAt(from, name, O_RDONLY | O_DIRECTORY);
  using target = openAt(to, name, O_RDONLY | O_DIRECTORY);
  await copyEntries(copy, source, target, path);
}

/** True when it is another name of a file that was copied already. */
function linkAgain(copy: Copy, stat: FileStat, to: Fd, name: Buffer, path: Buffer): boolean {
  if (stat.nlink < 2) return false;
  const first = copy.linked.get(stat.ino);
  if (first === undefined) {
    copy.linked.set(stat.ino, path);
    return false;
  }
  using file = openBeneath(copy.root, first, O_PATH);
  linkFd(file, to, name);
  return true;
}

async function copyContent(from: Fd, to: Fd, name: Buffer, { sizeBytes }: FileStat): Promise<void> {
  const [source, target] = [Buffer.from(pathIn(from, name)), Buffer.from(pathIn(to, name))];
  const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;
  if (sizeBytes > smallBytes) await copyFile(source, target, how);
  else copyFileSync(source, target, how);
}

/** Owner first, because changing it clears setuid bits and capabilities. */
function copyAttributes(from: Uint8Array | string, dir: Fd, name: Buffer | string, stat: FileStat): void {
  chownAt(dir, name, stat.uid, stat.gid);
  if (typeOf(stat) !== S_IFLNK) chmodAt(dir, name, stat.mode & 0o7777);
  for (const key of listXattrs(from)) {
    const value = getXattr(from, key);
    if (value !== undefined) setXattr(pathIn(dir, name), key, value);
  }
  utimesAt(dir, name, stat.atimeNs, stat.mtimeNs);
}
