import type net from 'node:net';
import type { Peer } from '../rpc/grpc-call.ts';
import { peerCredentials } from '../sys/unix-socket.ts';

/** Who is at the other end of an accepted connection. Node keeps the descriptor behind its handle. */
export function peerOf(socket: net.Socket): Peer | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } };
  return handle?.fd === undefined || handle.fd < 0 ? undefined : peerCredentials(handle.fd);
}
