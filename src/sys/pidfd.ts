import { Fd } from './fd.ts';
import { check, kernelCall, libcCall, pollReadable } from './ffi.ts';
import type { Exit } from './process.ts';

const pidfdOpenCall = kernelCall(434, ['int', 'uint32']);
const pidfdGetfdCall = kernelCall(438, ['int', 'int', 'uint32']);
const pidfdSendSignalCall = kernelCall(424, ['int', 'int', 'void *', 'uint32']);
const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);

const ESRCH = 3;
const EINVAL = 22;
const ENOTTY = 25;
/** _IOWR(0xff, 11, struct pidfd_info) with its first published size of 64 bytes. */
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_EXIT = 8n;

/** A handle on one process that a reused pid can never confuse. */
export class Pidfd extends Fd {
  readonly pid: number;

  private constructor(fd: number, pid: number) {
    super(fd);
    this.pid = pid;
  }

  /** undefined where there is no such process (a zombie still is one). @throws SysError */
  static open(pid: number): Pidfd | undefined {
    const result = pidfdOpenCall(pid, 0);
    if (result === -ESRCH || result === -EINVAL) return undefined;
    return new Pidfd(check('pidfd_open', result, String(pid)), pid);
  }

  /** A handle that was kept elsewhere, of the process that had `pid` when it was opened. Takes the descriptor. */
  static of(handle: Fd, pid: number): Pidfd {
    return new Pidfd(handle.release(), pid);
  }

  /** A duplicate of one of its descriptors (Linux 5.6). @throws SysError (ESRCH: it has ended, EBADF, EPERM) */
  takeFd(fd: number): Fd {
    return new Fd(check('pidfd_getfd', pidfdGetfdCall(this.fd, fd, 0), `${this.pid}/${fd}`));
  }

  /** @returns false where it has ended. @throws SysError */
  signal(signal: number): boolean {
    const result = pidfdSendSignalCall(this.fd, signal, null, 0);
    if (result === -ESRCH) return false;
    check('pidfd_send_signal', result, String(this.pid));
    return true;
  }

  /**
   * How it ended, also when it was nobody's child of ours: known once its parent has reaped it, if this handle was open
   * by then (Linux 6.15). undefined: it runs, is not reaped yet, or the kernel is older; see {@link canReadExits}.
   */
  readExit(): Exit | undefined {
    const info = Buffer.alloc(64);
    info.writeBigUInt64LE(PIDFD_INFO_EXIT, 0);
    const result = ioctlCall(this.fd, PIDFD_GET_INFO, info);
    if (result === -ESRCH || result === -ENOTTY || result === -EINVAL) return undefined;
    check('ioctl PIDFD_GET_INFO', result, String(this.pid));
    if ((info.readBigUInt64LE(0) & PIDFD_INFO_EXIT) === 0n) return undefined;
    return exitOf(this.pid, info.readInt32LE(60));
  }

  /** Calls `onEnd` once, when the process has ended (it may still have to be reaped). Dispose before closing. */
  watch(onEnd: () => void): Disposable & { unref(): void } {
    const poll = pollReadable(this.fd, () => {
      poll[Symbol.dispose]();
      onEnd();
    });
    return poll;
  }
}

/** Decodes a wait status: low seven bits the signal, next byte the code. */
function exitOf(pid: number, waitStatus: number): Exit {
  const signal = waitStatus & 0x7f;
  return { pid, signal, status: signal === 0 ? (waitStatus >> 8) & 0xff : 128 + signal };
}

/** Can this kernel tell how a process that is no child ended? Decided by its release: 6.15 and later. */
export function canReadExits(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 15);
}
