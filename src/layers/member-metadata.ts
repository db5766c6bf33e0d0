import { codeOf } from '../errors/error.ts';
import type { FdLike } from '../sys/fd.ts';
import { chmodAt, chmodFd, chownAt, utimesAt } from '../sys/files.ts';
import { pathIn, setXattr } from '../sys/xattr.ts';
import { toPath } from './member-path.ts';
import { printable } from './pax.ts';
import type { ByteString, FileTime, TarEntry } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/** What the kernel may have given a new file already, so that calls which change nothing are left out. */
export interface Created {
  /** Owner is 0:0: it was made by root in a directory that hands no group down. */
  readonly rootOwned: boolean;
  /** Permission bits it was made with, before the umask. */
  readonly mode: number;
  readonly umask: number;
}

/**
 * Gives a file that is open for writing its owner, mode, xattrs and times, in the order that keeps them: chown clears
 * setuid and security.capability.
 */
export function setFileMetadata(fd: FdLike, entry: TarEntry, created: Created): void {
  const owned = setOwner(fd, '', entry, created);
  if (needsChmod(entry, created, owned)) chmodFd(fd, entry.mode);
  for (const [name, value] of wanted(entry)) setOne(fd, name, value, entry);
  setTimes(fd, '', entry);
}

/** The same for what is named and not open: directories, symlinks, devices, FIFOs. Nothing is followed. */
export function setNamedMetadata(dir: FdLike, base: ByteString, entry: TarEntry, created: Created): void {
  const name = toPath(base);
  const owned = setOwner(dir, name, entry, created);
  if (entry.type !== 'symlink' && needsChmod(entry, created, owned)) chmodAt(dir, name, entry.mode);
  for (const [key, value] of wanted(entry)) setOne(pathIn(dir, name), key, value, entry);
  setTimes(dir, name, entry);
}

function setOwner(dir: FdLike, name: string | Uint8Array, entry: TarEntry, created: Created): boolean {
  if (created.rootOwned && entry.uid === 0 && entry.gid === 0) return false;
  chownAt(dir, name, entry.uid, entry.gid);
  return true;
}

const needsChmod = (entry: TarEntry, created: Created, owned: boolean): boolean =>
  (created.mode & ~created.umask) !== entry.mode || (owned && (entry.mode & 0o6000) !== 0);

/** containerd's choice: the later of both times is the access time. */
function setTimes(dir: FdLike, name: string | Uint8Array, { mtime, atime }: TarEntry): void {
  const mtimeNs = nanosecondsOf(mtime);
  const atimeNs = atime === undefined ? mtimeNs : nanosecondsOf(atime);
  const later = mtimeNs > atimeNs;
  utimesAt(dir, name, later ? mtimeNs : atimeNs, mtimeNs);
}

export const nanosecondsOf = (time: FileTime): bigint =>
  BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds);

/** No layer may speak to overlayfs or the kernel's trusted store: those attributes are left out, as containerd does. */
export const isForbiddenXattr = (name: ByteString): boolean =>
  name.startsWith('trusted.') || name.startsWith('user.overlay.');

const wanted = (entry: TarEntry): Iterable<[ByteString, Buffer]> =>
  entry.xattrs.size === 0 ? none : [...entry.xattrs].filter(([name]) => !isForbiddenXattr(name));
const none: [ByteString, Buffer][] = [];

function setOne(
  target: FdLike | string | Uint8Array,
  name: ByteString,
  value: Buffer,
  entry: TarEntry,
): void {
  try {
    setXattr(target, toPath(name), value);
  } catch (error) {
    const code = codeOf(error) ?? '';
    // The file system has no such attributes, or this kind of file may have none (user.* on a symlink).
    if (code === 'ENOTSUP' || code === 'EOPNOTSUPP') return;
    if (code === 'EPERM' && entry.type !== 'file' && entry.type !== 'directory') return;
    if (code === 'EINVAL' || code === 'ERANGE' || code === 'E2BIG')
      throw badTar(`${printable(entry.name)} has an invalid xattr ${printable(name)}`);
    throw error;
  }
}
