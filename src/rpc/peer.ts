import type net from 'node:net';
import { peerCredentials } from '../sys/unix-socket.ts';
import type { Peer } from './grpc-call.ts';

/** Who is at the other end of an accepted unix connection, as the kernel knew when it connected (SO_PEERCRED). */
export function peerOfSocket(socket: net.Socket): Peer | undefined {
  const fd = descriptorOf(socket);
  return fd === undefined ? undefined : peerCredentials(fd);
}

/** Node has no public way to a socket's descriptor; its handle has had `fd` since 0.x. */
function descriptorOf(socket: net.Socket): number | undefined {
  const handle = '_handle' in socket ? socket._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
