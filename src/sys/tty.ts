import { AT_FDCWD, O_CLOEXEC, O_NOCTTY, O_RDWR } from './constants.ts';
import { Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';
import { openAt } from './files.ts';

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const ioctlNumberCall = libcCall('ioctl', ['int', 'uint64', 'uint64']);
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** Sets the size of a terminal (either end); its foreground group gets SIGWINCH. Sizes are cut to 16 bits. @throws SysError */
export function setWindowSize(tty: FdLike, size: WindowSize): void {
  const buffer = Buffer.alloc(8);
  buffer.writeUInt16LE(size.rows & 0xffff, 0);
  buffer.writeUInt16LE(size.columns & 0xffff, 2);
  check('ioctl TIOCSWINSZ', ioctlCall(fdNumber(tty), TIOCSWINSZ, buffer));
}

/** @throws SysError (ENOTTY) */
export function windowSize(tty: FdLike): WindowSize {
  const buffer = Buffer.alloc(8);
  check('ioctl TIOCGWINSZ', ioctlCall(fdNumber(tty), TIOCGWINSZ, buffer));
  return { rows: buffer.readUInt16LE(0), columns: buffer.readUInt16LE(2) };
}

/** Both ends of a new pseudo-terminal; neither becomes this process's controlling terminal. @throws SysError */
export function openPty(): { controller: Fd; terminal: Fd } {
  const controller = openAt(AT_FDCWD, '/dev/ptmx', O_RDWR | O_NOCTTY);
  try {
    check('ioctl TIOCSPTLCK', ioctlCall(controller.fd, TIOCSPTLCK, Buffer.alloc(4)));
    const peer = ioctlNumberCall(controller.fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return { controller, terminal: new Fd(check('ioctl TIOCGPTPEER', peer)) };
  } catch (error) {
    controller.close();
    throw error;
  }
}
