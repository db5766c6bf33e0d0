import { O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall, libcLongCall } from './ffi.ts';

const spliceCall = libcLongCall('splice', ['int', 'void *', 'int', 'void *', 'uint64', 'uint32']);
const teeCall = libcLongCall('tee', ['int', 'int', 'uint64', 'uint32']);
const pipeCall = libcCall('pipe2', ['void *', 'int']);
const fcntlCall = libcCall('fcntl', ['int', 'int', 'int64']);
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;
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

/**
 * Has what waits in one pipe wait in another, too, as a reference to the same pages: up to `maxBytes`, from the beginning.
 * @returns as {@link splice} does; less than asked where the other has room for less. @throws SysError
 */
export function tee(from: FdLike, to: FdLike, maxBytes: number): number | undefined {
  const seen = teeCall(fdNumber(from), fdNumber(to), maxBytes, SPLICE_F_NONBLOCK);
  return seen === -EAGAIN ? undefined : check('tee', seen);
}

/** A pipe without a name, its ends non-blocking. @throws SysError */
export function makePipe(): { readonly read: Fd; readonly write: Fd } {
  const ends = Buffer.alloc(8);
  check('pipe2', pipeCall(ends, O_CLOEXEC | O_NONBLOCK));
  return { read: new Fd(ends.readInt32LE(0)), write: new Fd(ends.readInt32LE(4)) };
}

/** Lets a pipe hold more (or less) than 64 KiB; left as it is where the kernel refuses. */
export const setPipeSize = (pipe: FdLike, sizeBytes: number): void => {
  fcntlCall(fdNumber(pipe), F_SETPIPE_SZ, sizeBytes);
};
