import { unlinkSync } from 'node:fs';
import { codeOf, invalidArgument } from '../errors/error.ts';
import { O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { Fd, type FdLike, fdNumber } from './fd.ts';
import { check, libcCall, pollReadable } from './ffi.ts';
import { receiveRights } from './rights.ts';

/** What node:net cannot do with Unix sockets. */

const socketCall = libcCall('socket', ['int', 'int', 'int']);
const socketpairCall = libcCall('socketpair', ['int', 'int', 'int', 'void *']);
const setsockoptCall = libcCall('setsockopt', ['int', 'int', 'int', 'void *', 'uint32']);
const bindCall = libcCall('bind', ['int', 'void *', 'uint32']);
const listenCall = libcCall('listen', ['int', 'int']);
const acceptCall = libcCall('accept4', ['int', 'void *', 'void *', 'int']);
const sendtoCall = libcCall('sendto', ['int', 'void *', 'uint64', 'int', 'void *', 'uint32']);
const getsockoptCall = libcCall('getsockopt', ['int', 'int', 'int', 'void *', 'void *']);

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_PEERCRED = 17;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;
/** Length of sun_path, its closing NUL included. */
const MAX_PATH_BYTES = 108;

const newSocket = (type: number): Fd =>
  new Fd(check('socket', socketCall(AF_UNIX, type | O_CLOEXEC | O_NONBLOCK, 0)));

/** struct sockaddr_un; a leading `@` means the abstract space, as systemd writes it. @throws invalid_argument: too long */
function socketAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.includes(0))
    throw invalidArgument(`${JSON.stringify(path)} is no socket path`);
  if (bytes.length >= MAX_PATH_BYTES)
    throw invalidArgument(`socket path ${path} is longer than ${MAX_PATH_BYTES - 1} bytes`);
  const abstract = path.startsWith('@');
  if (abstract) bytes[0] = 0;
  const address = Buffer.alloc(2 + bytes.length + (abstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** Two ends of a connection that keeps messages apart (SOCK_SEQPACKET), non-blocking. @throws SysError */
export function socketPair(): [Fd, Fd] {
  const ends = Buffer.alloc(8);
  check('socketpair', socketpairCall(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK, 0, ends));
  return [new Fd(ends.readInt32LE(0)), new Fd(ends.readInt32LE(4))];
}

/** How many bytes may wait in a connection, whatever the system's limit; left as it is where that is not allowed. */
export function setSendBuffer(socket: FdLike, sizeBytes: number): void {
  const size = Buffer.alloc(4);
  size.writeInt32LE(sizeBytes);
  setsockoptCall(fdNumber(socket), SOL_SOCKET, SO_SNDBUFFORCE, size, size.length);
}

/** A listening socket that hands over one file descriptor. Disposal closes it and removes its path. */
export interface FdReceiver extends Disposable {
  readonly path: string;
  /** The first descriptor (close-on-exec) anybody sends; further ones with it are closed. @throws the signal's reason, SysError */
  receive(signal: AbortSignal): Promise<Fd>;
}

/**
 * Listens at `path` for one descriptor: the console socket of OCI runtimes (`--console-socket`), over which runc and
 * crun send the controlling end of a terminal. Keep it in a directory only root can enter.
 * @throws SysError (EADDRINUSE, …), invalid_argument (path too long)
 */
export function listenForFd(path: string): FdReceiver {
  const listener = newSocket(SOCK_STREAM);
  try {
    const address = socketAddress(path);
    check('bind', bindCall(listener.fd, address, address.length), path);
    check('listen', listenCall(listener.fd, 1), path);
  } catch (error) {
    listener.close();
    throw error;
  }
  const dispose = () => {
    listener.close();
    unlinkIfThere(path);
  };
  return { path, receive: (signal) => receiveFrom(listener, signal), [Symbol.dispose]: dispose };
}

async function receiveFrom(listener: Fd, signal: AbortSignal): Promise<Fd> {
  for (;;) {
    await readable(listener, signal);
    const accepted = acceptCall(listener.fd, null, null, O_CLOEXEC | O_NONBLOCK);
    if (accepted === -EAGAIN) continue;
    using connection = new Fd(check('accept4', accepted));
    await readable(connection, signal);
    const received = receiveRights(connection);
    if (received) return received;
  }
}

function readable(fd: Fd, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      poll[Symbol.dispose]();
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => done(() => reject(signal.reason));
    const poll = pollReadable(fd.fd, () => done(resolve));
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who connected, as the kernel noted it at connect time (SO_PEERCRED, unix(7)). @throws SysError (ENOTSOCK, …) */
export function peerCredentials(socket: FdLike): PeerCredentials {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length, 0);
  check('getsockopt', getsockoptCall(fdNumber(socket), SOL_SOCKET, SO_PEERCRED, credentials, length));
  return {
    pid: credentials.readInt32LE(0),
    uid: credentials.readUInt32LE(4),
    gid: credentials.readUInt32LE(8),
  };
}

/**
 * Sends one datagram, never waiting: what sd_notify(3) does with `READY=1\n…` and the path in NOTIFY_SOCKET.
 * @throws SysError (ECONNREFUSED, EAGAIN, …), invalid_argument
 */
export function sendDatagram(path: string, message: string): void {
  using socket = newSocket(SOCK_DGRAM);
  const address = socketAddress(path);
  const bytes = Buffer.from(message);
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  check('sendto', sendtoCall(socket.fd, bytes, bytes.length, flags, address, address.length), path);
}
