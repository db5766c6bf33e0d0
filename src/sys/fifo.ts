import { failedPrecondition } from '../errors/error.ts';
import { AT_FDCWD, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, S_IFIFO } from './constants.ts';
import { type Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';
import { mknodAt, openPathAt } from './files.ts';
import { reopen } from './read-file.ts';
import { statFd, typeOf } from './stat.ts';

/** Makes a FIFO; the umask applies to `mode`. @throws SysError (EEXIST, …) */
export const makeFifo = (path: string, mode = 0o700): void => mknodAt(AT_FDCWD, path, S_IFIFO | mode);

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const FIONREAD = 0x541b;

const flagsOf = { read: O_RDONLY, write: O_WRONLY, both: O_RDWR } as const;

/**
 * Opens a FIFO at once, whoever is at its other end, non-blocking: `new net.Socket({ fd: fifo.release() })` streams it.
 * `read` sees end-of-file while no writer has it open; `both` never does, and never gets EPIPE; `write` answers ENXIO
 * until there is a reader. A last symlink is not followed.
 * @throws SysError, failed_precondition (not a FIFO)
 */
export function openFifo(path: string, access: keyof typeof flagsOf): Fd {
  using handle = openPathAt(AT_FDCWD, path);
  if (typeOf(statFd(handle)) !== S_IFIFO) throw failedPrecondition(`${path} is not a fifo`);
  return reopen(handle, flagsOf[access] | O_NONBLOCK);
}

/** How many bytes wait in a FIFO or pipe for whoever reads, seen from either end. @throws SysError */
export function unreadBytes(fifo: FdLike): number {
  const count = Buffer.alloc(4);
  check('ioctl FIONREAD', ioctlCall(fdNumber(fifo), FIONREAD, count));
  return count.readInt32LE();
}
