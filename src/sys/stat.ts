import { AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, S_IFMT } from './constants.ts';
import { type FdLike, fdNumber } from './fd.ts';
import { check, cPath, libcCall, type Path } from './ffi.ts';

/** What statx(2) says, with times in nanoseconds since 1970. */
export interface FileStat {
  /** Type and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: bigint;
  readonly sizeBytes: number;
  /** Blocks of 512 bytes. */
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mtimeNs: bigint;
  /** The device a character or block device file stands for. */
  readonly rdev: Device;
  /** The file system this file is on. */
  readonly dev: Device;
  /** Is something mounted right here? */
  readonly mountRoot: boolean;
  readonly mountId: bigint;
}

export interface Device {
  readonly major: number;
  readonly minor: number;
}

const statxCall = libcCall('statx', ['int', 'const char *', 'int', 'uint32', 'void *']);
const STATX_BASIC_AND_MOUNT_ID = 0x7ff | 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const buffer = Buffer.alloc(256);

/** Never follows a last symlink. Name '' means `dir` itself (which may be an O_PATH handle). @throws SysError */
export function statAt(dir: FdLike, name: Path): FileStat {
  const flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
  check('statx', statxCall(fdNumber(dir), cPath(name), flags, STATX_BASIC_AND_MOUNT_ID, buffer), name);
  return decode();
}

/** @throws SysError */
export const statFd = (fd: FdLike): FileStat => statAt(fd, '');

/** The S_IF… part of a mode. */
export const typeOf = (stat: Pick<FileStat, 'mode'>): number => stat.mode & S_IFMT;

// Offsets of struct statx, linux/stat.h.
function decode(): FileStat {
  return {
    nlink: buffer.readUInt32LE(16),
    uid: buffer.readUInt32LE(20),
    gid: buffer.readUInt32LE(24),
    mode: buffer.readUInt16LE(28),
    ino: buffer.readBigUInt64LE(32),
    sizeBytes: Number(buffer.readBigUInt64LE(40)),
    blocks: Number(buffer.readBigUInt64LE(48)),
    atimeNs: timeAt(64),
    ctimeNs: timeAt(96),
    mtimeNs: timeAt(112),
    rdev: deviceAt(128),
    dev: deviceAt(136),
    mountRoot: (buffer.readUInt32LE(8) & STATX_ATTR_MOUNT_ROOT) !== 0,
    mountId: buffer.readBigUInt64LE(144),
  };
}

const timeAt = (offset: number): bigint =>
  buffer.readBigInt64LE(offset) * 1_000_000_000n + BigInt(buffer.readUInt32LE(offset + 8));

const deviceAt = (offset: number): Device => ({
  major: buffer.readUInt32LE(offset),
  minor: buffer.readUInt32LE(offset + 4),
});
