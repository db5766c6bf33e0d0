import { chown } from 'node:fs/promises';
import type { RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { listenUnix } from '../../rpc/unix-listener.ts';

// An import of node:http reads each of its exports, which loads undici: 3 MB.
const { createServer } = process.getBuiltinModule('node:http');

/** Owner of a unix socket. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

interface Listener extends AsyncDisposable {
  readonly address: string;
}

const root: Owner = { uid: 0, gid: 0 };

/** An HTTP server for a few callers that can move from address to address. */
export class HttpEndpoint implements AsyncDisposable {
  readonly #handler: RequestListener;
  #listener: Listener | undefined;

  constructor(handler: RequestListener) {
    this.#handler = handler;
  }

  /** Where it listens; '' where it does not. */
  get address(): string {
    return this.#listener?.address ?? '';
  }

  /**
   * Listens at `address`, a path (mode 0660) or host:port, and no longer where it did; '' for nowhere.
   * @throws the system's error; it listens where it did then
   */
  async listen(address: string, owner: Owner = root): Promise<void> {
    if (address === this.address) {
      if (address.startsWith('/')) await chown(address, owner.uid, owner.gid);
      return;
    }
    const before = this.#listener;
    this.#listener = address === '' ? undefined : await open(address, owner, this.#handler);
    await before?.[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.listen('');
  }
}

async function open(address: string, owner: Owner, handler: RequestListener): Promise<Listener> {
  const server = createServer({ headersTimeout: 10_000, keepAliveTimeout: 10_000 }, handler);
  server.maxConnections = 64;
  if (address.startsWith('/')) return await openUnix(address, owner, server);
  await bind(server, address);
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { address, [Symbol.asyncDispose]: stop };
}

async function openUnix(address: string, owner: Owner, server: Server): Promise<Listener> {
  const sockets = new Set<Socket>();
  const accept = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    server.emit('connection', socket);
  };
  const listening = await listenUnix(address, accept, owner);
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    await listening[Symbol.asyncDispose]();
  };
  return { address, [Symbol.asyncDispose]: stop };
}

function bind(server: Server, address: string): Promise<void> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) }, resolve);
  });
}
