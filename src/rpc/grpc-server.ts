import type net from 'node:net';
import type { DescMethod } from '@bufbuild/protobuf';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Log } from '../async/context.ts';
import { silentLog } from '../async/context.ts';
import { decoder, encoder, maxMessageBytes } from './codec.ts';
import { type CallInfo, contextOf, interruptOf, type Peer, requestLog } from './grpc-call.ts';
import { handlerOf, type Run } from './grpc-handlers.ts';
import { nameUnknownMethods, silenceGrpcJs, tuneHttp2 } from './grpc-js-hooks.ts';
import type { ServiceBinding } from './service.ts';

/** What is done around connections and calls. */
export interface GrpcServerOptions {
  readonly log?: Log;
  /** Asked once for each connection; throwing or undefined leaves the caller unknown. */
  readonly peerOf?: (socket: net.Socket) => Peer | undefined;
  /** Runs before each call; what it throws is the answer (policy). */
  readonly before?: (call: CallInfo) => Promise<void> | void;
  /** Runs after each call with what it failed with, if it did, and how long it took (audit, metrics). */
  readonly after?: (call: CallInfo, error: unknown, elapsedMs: number) => void;
}

/**
 * Serves containerd's gRPC API on connections handed to it, at most 16 MiB a message each way.
 * Errors travel as `status.ts` says; what is unknown or not implemented answers UNIMPLEMENTED naming itself.
 */
export class GrpcServer {
  readonly #server: Server;
  readonly #inject: (socket: net.Socket) => void;
  readonly #options: GrpcServerOptions;
  readonly #log: Log;
  readonly #sockets = new Set<net.Socket>();
  readonly #peers = new Map<string, Peer>();
  #lastConnection = 0;
  #lastRequest = 0;

  constructor(bindings: readonly ServiceBinding[], options: GrpcServerOptions = {}) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#server = new Server({
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.enable_channelz': 0,
    });
    silenceGrpcJs();
    tuneHttp2(this.#server);
    nameUnknownMethods(this.#server, new Set(bindings.map((binding) => binding.desc.typeName)));
    for (const binding of bindings) this.#add(binding);
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#inject = (socket) => injector.injectConnection(socket);
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Takes an accepted connection; whatever comes over it, only it can suffer. */
  accept(socket: net.Socket): void {
    const name = `connection-${++this.#lastConnection}`;
    nameSocket(socket, name);
    const peer = this.#peerOf(socket);
    if (peer !== undefined) this.#peers.set(name, peer);
    this.#sockets.add(socket);
    socket.on('error', (error) => this.#log.debug({ error: error.message }, 'connection failed'));
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#peers.delete(name);
    });
    this.#inject(socket);
  }

  /** No new calls; running ones get `graceMs` to end, then their connections are cut. Idempotent. */
  async close(graceMs = 0): Promise<void> {
    const cut = setTimeout(() => this.#cut(), graceMs);
    try {
      await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    } finally {
      clearTimeout(cut);
      this.#cut();
    }
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #peerOf(socket: net.Socket): Peer | undefined {
    try {
      return this.#options.peerOf?.(socket);
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'cannot tell who is calling');
      return undefined;
    }
  }

  #add({ desc, impl }: ServiceBinding): void {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const method of desc.methods) {
      const fn = impl[method.localName];
      if (typeof fn !== 'function') continue;
      definition[method.name] = definitionOf(method);
      implementation[method.name] = handlerOf(method.methodKind, fn.bind(impl), this.#run(method));
    }
    if (Object.keys(definition).length > 0) this.#server.addService(definition, implementation);
  }

  /** The one interceptor: context, log, hooks around every call. */
  #run(method: DescMethod): Run {
    const service = method.parent.typeName;
    const path = `/${service}/${method.name}`;
    return async (call, work) => {
      const requestId = ++this.#lastRequest;
      const log = requestLog(this.#log, requestId, path);
      const interrupt = interruptOf(call);
      const ctx = contextOf(call, interrupt.signal, log, this.#peers.get(call.getPeer()));
      try {
        return await this.#guard({ requestId, service, method: method.name, ctx }, () => work(ctx));
      } finally {
        interrupt.release();
      }
    };
  }

  async #guard<T>(info: CallInfo, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    let failure: unknown;
    try {
      await this.#options.before?.(info);
      return await work();
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      this.#options.after?.(info, failure, performance.now() - started);
    }
  }
}

/**
 * What grpc-js asks every socket at every call: the name comes back from getPeer(). The others are empty on a unix
 * socket, but finding that out each time takes a quarter of a small call.
 */
function nameSocket(socket: net.Socket, name: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: name });
  for (const empty of ['remotePort', 'localAddress', 'localPort'])
    Object.defineProperty(socket, empty, { value: undefined });
}

function definitionOf(method: DescMethod): ServiceDefinition[string] {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: encoder(method.input),
    requestDeserialize: decoder(method.input),
    responseSerialize: encoder(method.output),
    responseDeserialize: decoder(method.output),
  };
}
