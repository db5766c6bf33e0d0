import { connect, type Socket } from 'node:net';
import { messageOf, unavailable } from '../errors/error.ts';

/** A connection to a path socket. @throws unavailable (nobody there, or not within `timeoutMs`, default 5,000) */
export async function connectUnix(path: string, timeoutMs = 5_000): Promise<Socket> {
  const socket = connect({ path });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  socket.once('connect', resolve).once('error', reject);
  try {
    await promise;
    return socket.off('error', reject);
  } catch (error) {
    socket.destroy();
    throw unavailable(`connect to ${path}: ${messageOf(error)}`, error);
  } finally {
    clearTimeout(timer);
  }
}
