import { type FdLike, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const FIONBIO = 0x5421;

/**
 * Makes reads and writes answer EAGAIN instead of waiting, for descriptors that cannot be opened that way (received
 * ones). It belongs to the open file: everybody who shares it is affected. @throws SysError
 */
export function setNonBlocking(fd: FdLike): void {
  const on = Buffer.alloc(4);
  on.writeInt32LE(1);
  check('ioctl FIONBIO', ioctlCall(fdNumber(fd), FIONBIO, on));
}
