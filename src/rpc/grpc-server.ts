import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type net from 'node:net';
import type { DescMethod } from '@bufbuild/protobuf';
import { type Log, silentLog } from '../async/context.ts';
import type { Span } from '../async/span.ts';
import { type CallInfo, contextOf, header, type Peer, type RawHeaders, requestLog } from './grpc-call.ts';
import { GrpcExchange } from './grpc-exchange.ts';
import { parseEncoding } from './grpc-frame.ts';
import { type Handler, handlerOf } from './grpc-handlers.ts';
import { httpRefusal, parseTimeout, unknownMethodMessage } from './grpc-request.ts';
import type { ServiceBinding } from './service.ts';
import { Code, toStatus } from './status.ts';

/** What is done around connections and calls. */
export interface GrpcServerOptions {
  readonly log?: Log;
  /** Asked once for each connection, once its first frames are sent; throwing or undefined leaves the caller unknown. */
  readonly peerOf?: (socket: net.Socket) => Peer | undefined;
  /** A span for a call, where calls are traced; `parent` is the caller's W3C traceparent, unchecked. */
  readonly span?: ((parent: string | undefined, service: string, method: string) => Span) | undefined;
  /** Whether log lines of a call name its trace. Default: no. */
  readonly logTraceId?: () => boolean;
  /** Runs before each call; what it throws is the answer (policy). */
  readonly before?: (call: CallInfo) => Promise<void> | void;
  /** Runs after each call with what it failed with, if it did, and how long it took (audit, metrics). */
  readonly after?: (call: CallInfo, error: unknown, elapsedMs: number) => void;
}

/** Bytes a client may send ahead on one call; on one connection four times as much. Node's default is 64 KiB. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * streamWindowBytes;

const sessionOptions = {
  settings: {
    initialWindowSize: streamWindowBytes,
    maxConcurrentStreams: 1024,
    maxHeaderListSize: 64 * 1024,
    enablePush: false,
  },
  maxHeaderListPairs: 128,
  // containerd's clients read a blob in calls of 32 KiB and reset each when it has brought its bytes: Node's 33 a second would
  // end the connection of `ctr content get` after 32 MB. What a flood costs is bounded by the calls at a time.
  streamResetBurst: 10_000,
  streamResetRate: 10_000,
  // Node counts what a reset stream had still to send for ever, so that a limit would end a long connection; what a
  // connection can hold is bounded by its calls and their messages.
  maxSessionMemory: Number.MAX_SAFE_INTEGER,
};

interface ServedMethod {
  readonly service: string;
  readonly name: string;
  readonly handle: Handler;
}

/**
 * Serves containerd's gRPC API on connections handed to it, at most 16 MiB a message each way.
 * Errors travel as `status.ts` says; what is unknown or not implemented answers UNIMPLEMENTED naming itself.
 */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #log: Log;
  readonly #services: ReadonlySet<string>;
  readonly #methods = new Map<string, ServedMethod>();
  readonly #sessions = new Map<ServerHttp2Session, net.Socket>();
  #lastRequest = 0;

  constructor(bindings: readonly ServiceBinding[], options: GrpcServerOptions = {}) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#services = new Set(bindings.map((binding) => binding.desc.typeName));
    for (const { desc, impl } of bindings)
      for (const method of desc.methods) this.#add(method, impl[method.localName], impl);
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Takes an accepted connection; whatever comes over it, only it can suffer. */
  accept(socket: net.Socket): void {
    const peer = this.#peerOf(socket);
    // A kernel call that the connection's first frames need not wait for.
    setImmediate(peer);
    const session = performServerHandshake(socket, sessionOptions);
    this.#sessions.set(session, socket);
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('stream', (stream, headers, _flags, raw) => this.#stream(stream, headers, raw, peer()));
    for (const emitter of [socket, session])
      emitter.on('error', (error: Error) => this.#log.debug({ error: error.message }, 'connection failed'));
    socket.once('close', () => {
      session.destroy();
      this.#sessions.delete(session);
    });
  }

  /** No new calls; running ones get `graceMs` to end, then their connections are cut. Idempotent. */
  async close(graceMs = 0): Promise<void> {
    const sockets = [...this.#sessions.values()];
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const session of this.#sessions.keys()) session.close();
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(cut);
  }

  /** Tells who is at the other end; asks once. */
  #peerOf(socket: net.Socket): () => Peer | undefined {
    let asked: { readonly peer: Peer | undefined } | undefined;
    return () => {
      asked ??= { peer: this.#askPeer(socket) };
      return asked.peer;
    };
  }

  #askPeer(socket: net.Socket): Peer | undefined {
    try {
      return this.#options.peerOf?.(socket);
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'cannot tell who is calling');
      return undefined;
    }
  }

  #add(method: DescMethod, fn: unknown, impl: object): void {
    if (typeof fn !== 'function') return;
    const service = method.parent.typeName;
    const handle = handlerOf(method, fn.bind(impl));
    this.#methods.set(`/${service}/${method.name}`, { service, name: method.name, handle });
  }

  #stream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: RawHeaders,
    peer: Peer | undefined,
  ): void {
    const refusal = httpRefusal(headers);
    if (refusal === undefined) void this.#call(new GrpcExchange(stream), headers, raw, peer);
    else {
      stream.on('error', () => {});
      stream.respond({ ':status': refusal }, { endStream: true });
    }
  }

  async #call(
    exchange: GrpcExchange,
    headers: IncomingHttpHeaders,
    raw: RawHeaders,
    peer: Peer | undefined,
  ): Promise<void> {
    try {
      const path = headers[':path'] ?? '';
      const method = this.#methods.get(path);
      if (method === undefined) {
        const message = unknownMethodMessage(path, this.#services);
        exchange.finish({ code: Code.unimplemented, message });
        return;
      }
      exchange.setEncoding(parseEncoding(headers['grpc-encoding']?.toString()));
      const timeoutMs = parseTimeout(headers['grpc-timeout']);
      if (timeoutMs !== undefined) exchange.setDeadline(timeoutMs);
      await this.#run(method, exchange, raw, peer);
      exchange.finish({ code: Code.ok, message: '' });
    } catch (error) {
      exchange.finish(toStatus(error));
    }
  }

  /** The one interceptor: context, log, hooks around every call. */
  async #run(
    { service, name, handle }: ServedMethod,
    exchange: GrpcExchange,
    headers: RawHeaders,
    peer: Peer | undefined,
  ): Promise<void> {
    const requestId = ++this.#lastRequest;
    const span = this.#options.span?.(header(headers, 'traceparent'), service, name);
    const traceId = this.#options.logTraceId?.() === true ? span?.traceId : undefined;
    const log = requestLog(this.#log, requestId, `/${service}/${name}`, traceId);
    const ctx = { ...contextOf(headers, exchange.signal, log, peer), span };
    const info: CallInfo = { requestId, service, method: name, ctx };
    const started = performance.now();
    let failure: unknown;
    try {
      await this.#options.before?.(info);
      await handle(exchange, ctx);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      span?.end(failure);
      this.#options.after?.(info, failure, performance.now() - started);
    }
  }
}
