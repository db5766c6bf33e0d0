import { mkdtemp, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { peerOf } from '../../src/daemon/peer.ts';
import { Content } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { bindService } from '../../src/rpc/service.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import { versionService } from '../../src/services/version.ts';

/** A server on a socket of its own, with what its service saw. */
export class TestServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly server: GrpcServer;
  readonly channel: Channel;
  readonly #listener: AsyncDisposable;
  /** Streams running now, and those that ended because the client went. */
  readonly seen: { running: number; aborted: number };

  private constructor(
    socketPath: string,
    server: GrpcServer,
    listener: AsyncDisposable,
    seen: { running: number; aborted: number },
  ) {
    this.socketPath = socketPath;
    this.server = server;
    this.#listener = listener;
    this.seen = seen;
    this.channel = openChannel(socketPath);
  }

  static async start(): Promise<TestServer> {
    const dir = await mkdtemp(path.join(tmpdir(), 'berth-rpc-'));
    const seen = { running: 0, aborted: 0 };
    const server = new GrpcServer([versionService('2.0.0', ''), streams(seen)], { peerOf });
    const socketPath = path.join(dir, 's');
    const listener = await listenUnix(socketPath, (socket) => server.accept(socket));
    return new TestServer(socketPath, server, listener, seen);
  }

  /** A fresh call over a fresh connection still works. */
  async answers(): Promise<boolean> {
    using channel = openChannel(this.socketPath);
    return (await createClient(Version, channel).version({}, { deadlineMs: 5000 })).version === '2.0.0';
  }

  /** A raw connection. */
  raw(): net.Socket {
    const socket = net.connect(this.socketPath);
    socket.on('error', () => {});
    socket.resume();
    return socket;
  }

  http2(): http2.ClientHttp2Session {
    const session = http2.connect('http://localhost', {
      createConnection: () => this.raw(),
      maxSessionMemory: 1000,
    });
    session.on('error', () => {});
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel[Symbol.dispose]();
    await this.#listener[Symbol.asyncDispose]();
    await this.server.close();
    await rm(path.dirname(this.socketPath), { recursive: true });
  }
}

function streams(seen: { running: number; aborted: number }) {
  const data = new Uint8Array(256 * 1024);
  return bindService(Content, {
    async *read(_, ctx) {
      seen.running++;
      try {
        for (;;) yield { data };
      } finally {
        seen.running--;
        if (ctx.signal.aborted) seen.aborted++;
      }
    },
    async *write(requests, ctx) {
      seen.running++;
      try {
        for await (const _ of requests);
        yield {};
      } finally {
        seen.running--;
        if (ctx.signal.aborted) seen.aborted++;
      }
    },
  });
}
