import { codeOf } from '../errors/error.ts';
import { AT_FDCWD, O_RDONLY, O_RDWR } from './constants.ts';
import { type Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';
import { openAt } from './files.ts';

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const ioctlNumberCall = libcCall('ioctl', ['int', 'uint64', 'uint64']);
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
/** Another process may take the free device that we were told of. */
const maxTries = 100;

/** A loop device over a file: mount `path` while this is open, then close it. */
export interface LoopDevice extends Disposable {
  readonly path: string;
}

/**
 * Puts a read-only loop device over an open file. It goes by itself once it is neither open nor mounted
 * (LO_FLAGS_AUTOCLEAR), so that no crash leaves one behind. @throws SysError (ENOENT: no loop devices here; Linux 5.8)
 */
export function attachLoop(file: FdLike): LoopDevice {
  using control = openAt(AT_FDCWD, '/dev/loop-control', O_RDWR);
  for (let tries = 1; ; tries++) {
    const number = check('ioctl LOOP_CTL_GET_FREE', ioctlNumberCall(control.fd, LOOP_CTL_GET_FREE, 0));
    try {
      return configure(`/dev/loop${number}`, file);
    } catch (error) {
      if (codeOf(error) !== 'EBUSY' || tries === maxTries) throw error;
    }
  }
}

function configure(path: string, file: FdLike): LoopDevice {
  using stack = new DisposableStack();
  const device: Fd = stack.use(openAt(AT_FDCWD, path, O_RDONLY));
  check('ioctl LOOP_CONFIGURE', ioctlCall(device.fd, LOOP_CONFIGURE, loopConfig(fdNumber(file))), path);
  const owned = stack.move();
  return { path, [Symbol.dispose]: () => owned.dispose() };
}

/** struct loop_config of linux/loop.h: fd, block size (0: the default), struct loop_info64, reserved. */
function loopConfig(fd: number): Buffer {
  const config = Buffer.alloc(4 + 4 + 232 + 64);
  config.writeUInt32LE(fd, 0);
  config.writeUInt32LE(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, 8 + 52);
  return config;
}
