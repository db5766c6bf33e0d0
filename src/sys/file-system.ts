import type { FdLike } from './fd.ts';
import { fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';

const fstatfsCall = libcCall('fstatfs', ['int', 'void *']);

/** What fstatfs(2) says of a file system. */
export interface FileSystemStat {
  /** 0xe0f5e1e2 for EROFS, 0xef53 for ext4, … */
  readonly magic: number;
  /** EROFS makes it of the UUID in its superblock. */
  readonly id: bigint;
}

/** Of the file system a file is on; an O_PATH handle will do. @throws SysError */
export function statFileSystem(fd: FdLike): FileSystemStat {
  const buffer = Buffer.alloc(120);
  check('fstatfs', fstatfsCall(fdNumber(fd), buffer));
  return { magic: Number(buffer.readBigUInt64LE(0)), id: buffer.readBigUInt64LE(56) };
}
