import { createServer, type Server, type Socket } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { abortable } from '../async/abortable.ts';
import type { Context, Log } from '../async/context.ts';
import { invalidArgument, messageOf, notImplemented, resourceExhausted } from '../errors/error.ts';
import { RequestSchema, ResponseSchema } from '../gen/ttrpc/ttrpc_pb.ts';
import { decoder, encoder } from './codec.ts';
import { parseNamespace } from './headers.ts';
import type { ServiceBinding } from './service.ts';
import { toStatus } from './status.ts';
import { encodeFrame, FrameFlag, FrameReader, FrameType, OversizeFrame, oversize } from './ttrpc-frame.ts';

/** Header that names the namespace of a ttrpc call. */
export const ttrpcNamespaceHeader = 'containerd-namespace-ttrpc';

/** A method before its payload is decoded. */
export type RawMethod = (payload: Uint8Array, ctx: Context) => Promise<Uint8Array>;

/** A service whose methods take and give bytes: what a {@link ServiceBinding} becomes, or a format of its own. */
export interface RawService {
  readonly name: string;
  readonly methods: ReadonlyMap<string, RawMethod>;
}

/** The unary methods of a binding; a method that the implementation leaves out answers UNIMPLEMENTED. */
export function rawService({ desc, impl }: ServiceBinding): RawService {
  const methods = new Map<string, RawMethod>();
  for (const method of desc.methods) {
    const handler = impl[method.localName] as
      | ((request: unknown, ctx: Context) => Promise<never>)
      | undefined;
    if (handler === undefined || method.methodKind !== 'unary') continue;
    const decode = decoder(method.input);
    const encode = encoder(method.output);
    methods.set(method.name, async (payload, ctx) => encode(await handler(decode(payload), ctx)));
  }
  return { name: desc.typeName, methods };
}

export interface TtrpcServerOptions {
  readonly services: readonly RawService[];
  readonly log: Log;
  /** Calls in flight on one connection before more are refused with resource_exhausted. Default 8192. */
  readonly maxCalls?: number;
  /** Namespace of calls that name none (containerd 1.6 names none to its shims). Default: none. */
  readonly defaultNamespace?: string;
}

/** Bytes that may wait for a peer that does not read, before its requests are no longer read either. */
const maxUnsentBytes = 8 * 1024 * 1024;

/** A ttrpc server on a unix socket. A connection that closes cancels its calls; others are not touched. */
export class TtrpcServer implements AsyncDisposable {
  readonly #options: TtrpcServerOptions;
  readonly #services: ReadonlyMap<string, RawService>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(options: TtrpcServerOptions) {
    this.#options = options;
    this.#services = new Map(options.services.map((service) => [service.name, service]));
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on a path socket of mode 0600 that must not exist yet (CVE-2020-15257: never an abstract one). */
  async listen(path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Bind happens inside listen(): the umask makes the socket 0600 from its first moment.
    const umask = process.umask(0o177);
    this.#server.once('error', reject).listen({ path }, resolve);
    process.umask(umask);
    await promise;
    this.#server.off('error', reject);
  }

  /** Stops listening and cuts every connection. Idempotent. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const connection = new Connection(socket, this.#services, this.#options);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      connection.cancelAll();
    });
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #services: ReadonlyMap<string, RawService>;
  readonly #log: Log;
  readonly #maxCalls: number;
  readonly #defaultNamespace: string;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, AbortController>();
  #lastStreamId = 0;

  constructor(socket: Socket, services: ReadonlyMap<string, RawService>, options: TtrpcServerOptions) {
    this.#socket = socket;
    this.#services = services;
    this.#log = options.log;
    this.#maxCalls = options.maxCalls ?? 8192;
    this.#defaultNamespace = options.defaultNamespace ?? '';
    socket.on('error', (error) => this.#log.debug({ error: messageOf(error) }, 'ttrpc connection failed'));
    socket.on('data', (chunk) => this.#read(chunk as Buffer));
    socket.on('drain', () => socket.resume());
  }

  cancelAll(): void {
    for (const call of this.#calls.values()) call.abort(new DOMException('connection closed', 'AbortError'));
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (frame.type === FrameType.request) this.#request(frame.streamId, frame.flags, frame.payload);
      }
    } catch (error) {
      if (error instanceof OversizeFrame) this.#fail(error.streamId, oversize(error.length));
      this.#socket.end();
      this.#socket.removeAllListeners('data').resume();
    }
  }

  #request(streamId: number, flags: number, payload: Uint8Array): void {
    try {
      this.#checkStream(streamId, flags);
      const request = fromBinary(RequestSchema, payload);
      void this.#serve(streamId, request);
    } catch (error) {
      this.#fail(streamId, error);
    }
  }

  #checkStream(streamId: number, flags: number): void {
    if (streamId % 2 !== 1) throw invalidArgument('StreamID must be odd for client initiated streams');
    if (streamId <= this.#lastStreamId)
      throw invalidArgument('StreamID cannot be re-used and must increment');
    this.#lastStreamId = streamId;
    if (flags & FrameFlag.remoteOpen) throw notImplemented('streaming calls are not served');
    if (this.#calls.size >= this.#maxCalls)
      throw resourceExhausted(`more than ${this.#maxCalls} calls on one connection`);
  }

  async #serve(streamId: number, request: TtrpcRequest): Promise<void> {
    const call = new AbortController();
    this.#calls.set(streamId, call);
    const timer = deadline(call, request.timeoutNano);
    try {
      const payload = await abortable(this.#dispatch(request, call.signal), call.signal);
      this.#respond(streamId, toBinary(ResponseSchema, create(ResponseSchema, { payload })));
    } catch (error) {
      this.#fail(streamId, error);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(streamId);
    }
  }

  async #dispatch(request: TtrpcRequest, signal: AbortSignal): Promise<Uint8Array> {
    const service = this.#services.get(request.service);
    if (service === undefined) throw notImplemented(`service ${request.service}`);
    const method = service.methods.get(request.method);
    if (method === undefined) throw notImplemented(`method ${request.service}/${request.method}`);
    const named = request.metadata.find((pair) => pair.key === ttrpcNamespaceHeader)?.value;
    const namespace = parseNamespace(named) || this.#defaultNamespace;
    return method(request.payload, { signal, namespace, log: this.#log, caller: { kind: 'ttrpc' } });
  }

  #fail(streamId: number, error: unknown): void {
    const status = toStatus(error);
    this.#respond(streamId, toBinary(ResponseSchema, create(ResponseSchema, { status })));
  }

  #respond(streamId: number, payload: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    try {
      this.#socket.write(encodeFrame({ streamId, type: FrameType.response, flags: 0, payload }));
    } catch (error) {
      this.#fail(streamId, error);
    }
    if (this.#socket.writableLength > maxUnsentBytes) this.#socket.pause();
  }
}

type TtrpcRequest = ReturnType<typeof fromBinary<typeof RequestSchema>>;

function deadline(call: AbortController, timeoutNano: bigint): NodeJS.Timeout | undefined {
  if (timeoutNano <= 0n) return undefined;
  const timeoutMs = Math.min(Number(timeoutNano / 1_000_000n), 2 ** 31 - 1);
  const expire = () => call.abort(new DOMException('context deadline exceeded', 'TimeoutError'));
  return setTimeout(expire, timeoutMs).unref();
}
