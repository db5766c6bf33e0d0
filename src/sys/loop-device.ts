import { codeOf } from '../errors/error.ts';
import { AT_FDCWD, O_RDONLY, O_RDWR } from './constants.ts';
import { type Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';
import { openAt } from './files.ts';

const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const ioctlNumberCall = libcCall('ioctl', ['int', 'uint64', 'uint64']);
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_SET_STATUS64 = 0x4c04;
const LOOP_GET_STATUS64 = 0x4c05;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** Another process may take the free device that we were told of. */
const maxTries = 100;

/** struct loop_info64 of linux/loop.h: where its flags and its file's name are. */
const infoBytes = 232;
const flagsAt = 52;
const nameAt = 56;
const maxNameBytes = 63;

/** A loop device over a file: mount `path` while this is open, then close it. */
export interface LoopDevice extends Disposable {
  readonly path: string;
}

export interface LoopOptions {
  /** Default true. A writable one needs a file that is open for writing. */
  readonly readOnly?: boolean;
  /** Around the page cache of the file. Default false. */
  readonly directIo?: boolean;
  /** What `losetup` shows as the file's name, and {@link letGoOfLoop} looks for: at most 63 bytes. */
  readonly name?: string;
}

/**
 * Puts a loop device over an open file. It goes by itself once it is neither open nor mounted (LO_FLAGS_AUTOCLEAR), so
 * that no crash leaves one behind. @throws SysError (ENOENT: no loop devices here; Linux 5.8)
 */
export function attachLoop(file: FdLike, options: LoopOptions = {}): LoopDevice {
  using control = openAt(AT_FDCWD, '/dev/loop-control', O_RDWR);
  for (let tries = 1; ; tries++) {
    const number = check('ioctl LOOP_CTL_GET_FREE', ioctlNumberCall(control.fd, LOOP_CTL_GET_FREE, 0));
    try {
      return configure(`/dev/loop${number}`, file, options);
    } catch (error) {
      if (codeOf(error) !== 'EBUSY' || tries === maxTries) throw error;
    }
  }
}

/** Has the device stay when nobody has it open, until {@link letGoOfLoop}. @throws SysError */
export function keepLoop({ path }: LoopDevice): void {
  using device = openAt(AT_FDCWD, path, O_RDONLY);
  const info = infoOf(device, path);
  info.writeUInt32LE(info.readUInt32LE(flagsAt) & ~LO_FLAGS_AUTOCLEAR, flagsAt);
  check('ioctl LOOP_SET_STATUS64', ioctlCall(device.fd, LOOP_SET_STATUS64, info), path);
}

/** Whether the device at `path` is in use under that name. */
export function isLoopOf(path: string, name: string): boolean {
  try {
    using device = openAt(AT_FDCWD, path, O_RDONLY);
    return nameOf(infoOf(device, path)) === name;
  } catch {
    return false;
  }
}

/** Has a kept device go as soon as nobody has it open or mounted. One of another name is left alone. @throws SysError */
export function letGoOfLoop(path: string, name: string): void {
  if (!isLoopOf(path, name)) return;
  using device = openAt(AT_FDCWD, path, O_RDONLY);
  const info = infoOf(device, path);
  if (nameOf(info) !== name) return;
  info.writeUInt32LE(info.readUInt32LE(flagsAt) | LO_FLAGS_AUTOCLEAR, flagsAt);
  check('ioctl LOOP_SET_STATUS64', ioctlCall(device.fd, LOOP_SET_STATUS64, info), path);
}

function infoOf(device: Fd, path: string): Buffer {
  const info = Buffer.alloc(infoBytes);
  check('ioctl LOOP_GET_STATUS64', ioctlCall(device.fd, LOOP_GET_STATUS64, info), path);
  return info;
}

const nameOf = (info: Buffer): string => {
  const bytes = info.subarray(nameAt, nameAt + maxNameBytes + 1);
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? undefined : end).toString();
};

function configure(path: string, file: FdLike, options: LoopOptions): LoopDevice {
  using stack = new DisposableStack();
  const device: Fd = stack.use(openAt(AT_FDCWD, path, (options.readOnly ?? true) ? O_RDONLY : O_RDWR));
  const config = loopConfig(fdNumber(file), options);
  check('ioctl LOOP_CONFIGURE', ioctlCall(device.fd, LOOP_CONFIGURE, config), path);
  const owned = stack.move();
  return { path, [Symbol.dispose]: () => owned.dispose() };
}

/** struct loop_config: fd, block size (0: the default), struct loop_info64, reserved. */
function loopConfig(fd: number, { readOnly = true, directIo = false, name = '' }: LoopOptions): Buffer {
  const infoAt = 8;
  const config = Buffer.alloc(infoAt + infoBytes + 64);
  config.writeUInt32LE(fd, 0);
  const flags =
    LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0) | (directIo ? LO_FLAGS_DIRECT_IO : 0);
  config.writeUInt32LE(flags, infoAt + flagsAt);
  Buffer.from(name).copy(config, infoAt + nameAt, 0, maxNameBytes);
  return config;
}
