import { EventEmitter, once } from 'node:events';
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

/** Streams running now, and those that ended because the client went. Tells of every one that begins or ends. */
class Seen extends EventEmitter<{ change: [] }> {
  running = 0;
  aborted = 0;

  begin(signal: AbortSignal): Disposable {
    this.running++;
    this.emit('change');
    return {
      [Symbol.dispose]: () => {
        this.running--;
        if (signal.aborted) this.aborted++;
        this.emit('change');
      },
    };
  }

  /** Waits until so many run. */
  async until(wanted: (running: number) => boolean): Promise<void> {
    while (!wanted(this.running)) await once(this, 'change');
  }
}

/** A server on a socket of its own, with what its service saw. */
export class TestServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly server: GrpcServer;
  readonly channel: Channel;
  readonly #listener: AsyncDisposable;
  readonly seen: Seen;

  private constructor(socketPath: string, server: GrpcServer, listener: AsyncDisposable, seen: Seen) {
    this.socketPath = socketPath;
    this.server = server;
    this.#listener = listener;
    this.seen = seen;
    this.channel = openChannel(socketPath);
  }

  static async start(): Promise<TestServer> {
    const dir = await mkdtemp(path.join(tmpdir(), 'berth-rpc-'));
    const seen = new Seen();
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

function streams(seen: Seen) {
  const data = new Uint8Array(256 * 1024);
  return bindService(Content, {
    async *read(_, ctx) {
      using _stream = seen.begin(ctx.signal);
      for (;;) yield { data };
    },
    async *write(requests, ctx) {
      using _stream = seen.begin(ctx.signal);
      for await (const _ of requests);
      yield {};
    },
  });
}
