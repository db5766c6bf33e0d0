import { chmod, chown, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';

export interface UnixSocketOptions {
  /** Permission bits, default 0660. */
  readonly mode?: number;
  /** Owner; default: as created. */
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Listens on a unix socket that has its final owner and mode before anybody can see it under its name: it is made
 * beside it in the same directory and renamed, which replaces a stale one. The caller makes the directory and holds the
 * lock that says nobody else serves there.
 */
export async function listenUnix(
  address: string,
  onConnection: (socket: net.Socket) => void,
  options: UnixSocketOptions = {},
): Promise<AsyncDisposable> {
  const early = path.join(path.dirname(address), `.${process.pid}.s`);
  const server = net.createServer({ pauseOnConnect: false }, onConnection);
  await rm(early, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: early, backlog: 4096 }, resolve);
  });
  try {
    await chown(early, options.uid ?? -1, options.gid ?? -1);
    await chmod(early, options.mode ?? 0o660);
    await rename(early, address);
  } catch (error) {
    server.close();
    throw error;
  }
  return { [Symbol.asyncDispose]: () => stop(server, address) };
}

/** Stops accepting and removes the socket; open connections stay. */
async function stop(server: net.Server, address: string): Promise<void> {
  server.close();
  await rm(address, { force: true });
}
