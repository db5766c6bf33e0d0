import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
} from './constants.ts';
import { Fd, type FdLike, fdNumber } from './fd.ts';
import { check, cPath, libcCall, libcLongCall, type Path } from './ffi.ts';

/**
 * Calls of the *at family. `dir` is an open directory or AT_FDCWD; `name` should be one component: with more, symlinks
 * on the way are followed (see beneath.ts). No call here follows a link in the last component. All throw SysError.
 */

const calls = {
  openat: libcCall('openat', ['int', 'const char *', 'int', 'uint32']),
  mkdirat: libcCall('mkdirat', ['int', 'const char *', 'uint32']),
  mknodat: libcCall('mknodat', ['int', 'const char *', 'uint32', 'uint64']),
  symlinkat: libcCall('symlinkat', ['const char *', 'int', 'const char *']),
  linkat: libcCall('linkat', ['int', 'const char *', 'int', 'const char *', 'int']),
  unlinkat: libcCall('unlinkat', ['int', 'const char *', 'int']),
  renameat: libcCall('renameat2', ['int', 'const char *', 'int', 'const char *', 'uint32']),
  readlinkat: libcLongCall('readlinkat', ['int', 'const char *', 'void *', 'uint64']),
  fchownat: libcCall('fchownat', ['int', 'const char *', 'uint32', 'uint32', 'int']),
  fchmodat: libcCall('fchmodat', ['int', 'const char *', 'uint32', 'int']),
  fchmod: libcCall('fchmod', ['int', 'uint32']),
  utimensat: libcCall('utimensat', ['int', 'const char *', 'void *', 'int']),
  syncfs: libcCall('syncfs', ['int']),
  syncFileRange: libcCall('sync_file_range', ['int', 'int64', 'int64', 'uint32']),
  lseek: libcLongCall('lseek', ['int', 'int64', 'int']),
};

/** Opens close-on-exec and without following a last symlink. `mode` counts with O_CREAT only; the umask applies. */
export function openAt(dir: FdLike, name: Path, flags: number, mode = 0): Fd {
  const all = flags | O_CLOEXEC | O_NOFOLLOW;
  return new Fd(check('openat', calls.openat(fdNumber(dir), cPath(name), all, mode), name));
}

/** A handle on the file itself, whatever it is (symlink, FIFO, device), that can neither read nor block. */
export const openPathAt = (dir: FdLike, name: Path): Fd => openAt(dir, name, O_PATH);

export function mkdirAt(dir: FdLike, name: Path, mode: number): void {
  check('mkdirat', calls.mkdirat(fdNumber(dir), cPath(name), mode), name);
}

/** `mode` holds the type (S_IFCHR, S_IFBLK, S_IFIFO, S_IFREG) and permissions; the umask applies. */
export function mknodAt(dir: FdLike, name: Path, mode: number, major = 0, minor = 0): void {
  check('mknodat', calls.mknodat(fdNumber(dir), cPath(name), mode, deviceNumber(major, minor)), name);
}

/** dev_t as libc packs it. */
export const deviceNumber = (major: number, minor: number): bigint =>
  ((BigInt(major) & 0xfffff000n) << 32n) |
  ((BigInt(major) & 0xfffn) << 8n) |
  ((BigInt(minor) & 0xffffff00n) << 12n) |
  (BigInt(minor) & 0xffn);

export function symlinkAt(target: Path, dir: FdLike, name: Path): void {
  check('symlinkat', calls.symlinkat(cPath(target), fdNumber(dir), cPath(name)), name);
}

/** Another name for a file; a symlink is linked itself, never what it points to. */
export function linkAt(fromDir: FdLike, from: Path, dir: FdLike, name: Path): void {
  check('linkat', calls.linkat(fdNumber(fromDir), cPath(from), fdNumber(dir), cPath(name), 0), name);
}

/** Another name for an open file (an O_PATH handle will do); needs CAP_DAC_READ_SEARCH. */
export function linkFd(file: FdLike, dir: FdLike, name: Path): void {
  check('linkat', calls.linkat(fdNumber(file), '', fdNumber(dir), cPath(name), AT_EMPTY_PATH), name);
}

export function unlinkAt(dir: FdLike, name: Path): void {
  check('unlinkat', calls.unlinkat(fdNumber(dir), cPath(name), 0), name);
}

/** Removes an empty directory. */
export function rmdirAt(dir: FdLike, name: Path): void {
  check('unlinkat', calls.unlinkat(fdNumber(dir), cPath(name), AT_REMOVEDIR), name);
}

export const RENAME_EXCHANGE = 2;
/** renameat2(2); `flags` 0 replaces what is there. */
export function renameAt(fromDir: FdLike, from: Path, dir: FdLike, name: Path, flags = 0): void {
  check('renameat2', calls.renameat(fdNumber(fromDir), cPath(from), fdNumber(dir), cPath(name), flags), name);
}

/** Where a symlink points, as bytes (it need not be UTF-8). */
export function readlinkAt(dir: FdLike, name: Path): Buffer {
  const buffer = Buffer.allocUnsafe(4096);
  const length = check(
    'readlinkat',
    calls.readlinkat(fdNumber(dir), cPath(name), buffer, buffer.length),
    name,
  );
  return buffer.subarray(0, length);
}

/** Clears setuid and setgid, as the kernel does: chown before chmod. Name '' means `dir` itself. */
export function chownAt(dir: FdLike, name: Path, uid: number, gid: number): void {
  const flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  check('fchownat', calls.fchownat(fdNumber(dir), cPath(name), uid, gid, flags), name);
}

/** Permission bits (07777). Symlinks have none: ENOTSUP. */
export function chmodAt(dir: FdLike, name: Path, mode: number): void {
  check('fchmodat', calls.fchmodat(fdNumber(dir), cPath(name), mode, AT_SYMLINK_NOFOLLOW), name);
}

/** Of a file opened for reading or writing; an O_PATH handle answers EBADF. */
export function chmodFd(fd: FdLike, mode: number): void {
  check('fchmod', calls.fchmod(fdNumber(fd), mode));
}

const timesBuffer = Buffer.alloc(32);
const UTIME_OMIT = (1n << 30n) - 2n;

/** Times in nanoseconds since 1970, also negative; undefined leaves one alone. Name '' means `dir` itself (Linux 5.8). */
export function utimesAt(
  dir: FdLike,
  name: Path,
  atimeNs: bigint | undefined,
  mtimeNs: bigint | undefined,
): void {
  writeTime(0, atimeNs);
  writeTime(16, mtimeNs);
  const flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  check('utimensat', calls.utimensat(fdNumber(dir), cPath(name), timesBuffer, flags), name);
}

function writeTime(offset: number, timeNs: bigint | undefined): void {
  const nanoseconds =
    timeNs === undefined ? UTIME_OMIT : ((timeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = timeNs === undefined ? 0n : (timeNs - nanoseconds) / 1_000_000_000n;
  timesBuffer.writeBigInt64LE(seconds, offset);
  timesBuffer.writeBigInt64LE(nanoseconds, offset + 8);
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;

/** Where the next data of a file is, from `at` on; undefined when only a hole follows. Moves the file's offset. */
export function findData(fd: FdLike, at: number): number | undefined {
  const found = calls.lseek(fdNumber(fd), at, SEEK_DATA);
  return found === -ENXIO ? undefined : check('lseek', found);
}

/** Where the next hole of a file begins, from `at` (inside the file) on: at the end at the latest. */
export const findHole = (fd: FdLike, at: number): number =>
  check('lseek', calls.lseek(fdNumber(fd), at, SEEK_HOLE));

/** Writes a whole file system to disk, off the event loop. `fd`: any file on it, not O_PATH. */
export async function syncFileSystem(fd: FdLike): Promise<void> {
  check('syncfs', await calls.syncfs.wait(fdNumber(fd)));
}

const SYNC_FILE_RANGE_WRITE = 2;

/**
 * Begins to write a range of a file to disk, off the event loop, so that a later fdatasync(2) finds less to do. It
 * promises nothing: what fails is told by that fdatasync.
 */
export async function startWriteBack(fd: FdLike, start: number, bytes: number): Promise<void> {
  await calls.syncFileRange.wait(fdNumber(fd), start, bytes, SYNC_FILE_RANGE_WRITE);
}
