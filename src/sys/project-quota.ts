import { type FdLike, fdNumber } from './fd.ts';
import { check, kernelCall, libcCall } from './ffi.ts';

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const quotactlCall = kernelCall(443, ['int', 'uint32', 'uint32', 'void *']);
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;
/** struct fsxattr of linux/fs.h: flags first, the project behind two more words. */
const fsxattrBytes = 28;
const projectAt = 12;
const Q_SETQUOTA = 0x800008;
const PRJQUOTA = 2;
const QIF_BLIMITS = 1;
/** struct if_dqblk of linux/quota.h: the hard limit first, then the soft one, in units of 1 KiB; what is valid last. */
const dqblkBytes = 72;
const validAt = 64;
const quotaBlockBytes = 1024n;

/** The project of a directory, 0 for none. @throws SysError (ENOTTY, ENOTSUP: its file system knows no projects) */
export const projectOf = (directory: FdLike): number => attributesOf(directory).readUInt32LE(projectAt);

/**
 * Puts a directory, and what is made below it from now on, in a project, whose space the file system counts.
 * @throws SysError (ENOTTY, ENOTSUP: its file system knows no projects)
 */
export function setProject(directory: FdLike, project: number): void {
  const attributes = attributesOf(directory);
  attributes.writeUInt32LE(attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT, 0);
  attributes.writeUInt32LE(project, projectAt);
  check('ioctl FS_IOC_FSSETXATTR', ioctlCall(fdNumber(directory), FS_IOC_FSSETXATTR, attributes));
}

/**
 * Limits the space of a project on the file system of `place`, rounded up to 1 KiB; 0 for no limit.
 * @throws SysError (ESRCH: quotas of projects are not on; ENOSYS before Linux 5.14)
 */
export function limitProject(place: FdLike, project: number, limitBytes: bigint): void {
  const blocks = (limitBytes + quotaBlockBytes - 1n) / quotaBlockBytes;
  const limits = Buffer.alloc(dqblkBytes);
  limits.writeBigUInt64LE(blocks, 0);
  limits.writeBigUInt64LE(blocks, 8);
  limits.writeUInt32LE(QIF_BLIMITS, validAt);
  const command = Q_SETQUOTA * 256 + PRJQUOTA;
  check('quotactl_fd Q_SETQUOTA', quotactlCall(fdNumber(place), command, project, limits));
}

function attributesOf(directory: FdLike): Buffer {
  const attributes = Buffer.alloc(fsxattrBytes);
  check('ioctl FS_IOC_FSGETXATTR', ioctlCall(fdNumber(directory), FS_IOC_FSGETXATTR, attributes));
  return attributes;
}
