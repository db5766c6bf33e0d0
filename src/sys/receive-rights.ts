import { Fd } from './fd.ts';
import { addressOf, check, libcLongCall } from './ffi.ts';

const recvmsgCall = libcLongCall('recvmsg', ['int', 'void *', 'int']);
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** struct cmsghdr, then descriptors of four bytes. */
const CMSG_HEADER_BYTES = 16;

/**
 * Takes the first descriptor out of the message that waits on a non-blocking Unix socket (SCM_RIGHTS, unix(7)) and
 * closes any others. @returns undefined where no message or no descriptor is there. @throws SysError
 */
export function receiveRights(socket: Fd): Fd | undefined {
  const body = Buffer.alloc(4096);
  const control = Buffer.alloc(256);
  const iovec = pointers(addressOf(body), BigInt(body.length));
  const header = messageHeader(iovec, control);
  const result = recvmsgCall(socket.fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (result === -EAGAIN) return undefined;
  check('recvmsg', result);
  // The kernel wrote to `body` and `iovec` by address only: keep them alive until here.
  if (body.length === 0 || iovec.length === 0) return undefined;
  const [first, ...rest] = descriptorsIn(control.subarray(0, Number(header.readBigUInt64LE(40))));
  for (const extra of rest) extra.close();
  return first;
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
