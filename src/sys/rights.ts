import { Fd, type FdLike, fdNumber } from './fd.ts';
import { addressOf, check, libcLongCall } from './ffi.ts';

const recvmsgCall = libcLongCall('recvmsg', ['int', 'void *', 'int']);
const sendmsgCall = libcLongCall('sendmsg', ['int', 'void *', 'int']);
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** struct cmsghdr, then descriptors of four bytes. */
const CMSG_HEADER_BYTES = 16;

/** A message with descriptors in it. */
export interface RightsMessage {
  readonly body: Buffer;
  readonly fds: readonly Fd[];
}

/**
 * The message that waits on a non-blocking Unix socket, with the descriptors in it (SCM_RIGHTS, unix(7)).
 * @param peek leaves the message there; the descriptors are further ones of the same open files
 * @returns undefined where none waits. @throws SysError
 */
export function receiveMessage(socket: Fd, peek = false): RightsMessage | undefined {
  const body = Buffer.alloc(4096);
  const control = Buffer.alloc(256);
  const iovec = pointers(addressOf(body), BigInt(body.length));
  const header = messageHeader(iovec, control);
  const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0);
  const result = recvmsgCall(socket.fd, header, flags);
  if (result === -EAGAIN) return undefined;
  const length = check('recvmsg', result);
  // The kernel wrote to `iovec` by address only: keep it alive until here.
  if (iovec.length === 0) return undefined;
  const fds = descriptorsIn(control.subarray(0, Number(header.readBigUInt64LE(40))));
  return { body: body.subarray(0, length), fds };
}

/**
 * Takes the first descriptor out of the message that waits, and closes any others.
 * @returns undefined where no message or no descriptor is there. @throws SysError
 */
export function receiveRights(socket: Fd): Fd | undefined {
  const [first, ...rest] = receiveMessage(socket)?.fds ?? [];
  for (const extra of rest) extra.close();
  return first;
}

/** Sends a message of up to 4 KiB with up to 32 descriptors, which stay open here. Never waits. @throws SysError (EAGAIN, …) */
export function sendMessage(socket: Fd, body: Buffer, fds: readonly FdLike[]): void {
  const control = Buffer.alloc(CMSG_HEADER_BYTES + ((fds.length * 4 + 7) & ~7));
  control.writeBigUInt64LE(BigInt(CMSG_HEADER_BYTES + fds.length * 4), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  fds.forEach((fd, i) => {
    control.writeInt32LE(fdNumber(fd), CMSG_HEADER_BYTES + i * 4);
  });
  const iovec = pointers(addressOf(body), BigInt(body.length));
  const result = sendmsgCall(socket.fd, messageHeader(iovec, control), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (iovec.length > 0) check('sendmsg', result);
}

/** struct msghdr: name 0, iov 16, iovlen 24, control 32, controllen 40, flags 48. */
function messageHeader(iovec: Buffer, control: Buffer): Buffer {
  const header = Buffer.alloc(56);
  pointers(addressOf(iovec), 1n, addressOf(control), BigInt(control.length)).copy(header, 16);
  return header;
}

function pointers(...values: bigint[]): Buffer {
  const buffer = Buffer.alloc(values.length * 8);
  values.forEach((value, i) => {
    buffer.writeBigUInt64LE(value, i * 8);
  });
  return buffer;
}

function descriptorsIn(control: Buffer): Fd[] {
  const found: Fd[] = [];
  for (let at = 0; at + CMSG_HEADER_BYTES <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER_BYTES || at + length > control.length) break;
    const isRights =
      control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS;
    for (let fd = at + CMSG_HEADER_BYTES; isRights && fd + 4 <= at + length; fd += 4)
      found.push(new Fd(control.readInt32LE(fd)));
    at += (length + 7) & ~7;
  }
  return found;
}
