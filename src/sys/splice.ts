import { type FdLike, fdNumber } from './fd.ts';
import { check, libcCall, libcLongCall } from './ffi.ts';

const spliceCall = libcLongCall('splice', ['int', 'void *', 'int', 'void *', 'uint64', 'uint32']);
const fcntlCall = libcCall('fcntl', ['int', 'int', 'int64']);
const fallocateCall = libcCall('fallocate', ['int', 'int', 'int64', 'int64']);
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;
const FALLOC_KEEP_SIZE_AND_PUNCH = 1 | 2;
const EAGAIN = 11;
const EIO = 5;
const offset = Buffer.alloc(8);

/**
 * Moves up to `maxBytes` between two open files, one of them a pipe, inside the kernel: what has left the one is in the
 * other, even when this process is killed meanwhile. Never waits for a pipe; for others set them non-blocking.
 * @param at where to write in a regular file; its own position when left out
 * @returns the bytes moved, 0 at the end of the source, undefined where nothing can move now. @throws SysError
 */
export function splice(from: FdLike, to: FdLike, maxBytes: number, at?: number): number | undefined {
  if (at !== undefined) offset.writeBigUInt64LE(BigInt(at));
  const moved = spliceCall(
    fdNumber(from),
    null,
    fdNumber(to),
    at === undefined ? null : offset,
    maxBytes,
    SPLICE_F_NONBLOCK,
  );
  if (moved === -EAGAIN) return undefined;
  // A terminal that no process has open any more.
  if (moved === -EIO) return 0;
  return check('splice', moved);
}

/** Lets a pipe hold more (or less) than 64 KiB; left as it is where the kernel refuses. */
export const setPipeSize = (pipe: FdLike, sizeBytes: number): void => {
  fcntlCall(fdNumber(pipe), F_SETPIPE_SZ, sizeBytes);
};

/** Gives the space of the first `endBytes` of a file back, its size unchanged. @throws SysError */
export function punchHole(file: FdLike, endBytes: number): void {
  check('fallocate', fallocateCall(fdNumber(file), FALLOC_KEEP_SIZE_AND_PUNCH, 0, endBytes));
}
