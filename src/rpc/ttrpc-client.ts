import { connect, type Socket } from 'node:net';
import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { messageOf, unavailable } from '../errors/error.ts';
import { RequestSchema, type Response, ResponseSchema } from '../gen/ttrpc/ttrpc_pb.ts';
import { decoder, encoder } from './codec.ts';
import { fromStatus } from './status.ts';
import { encodeFrame, FrameFlag, FrameReader, FrameType } from './ttrpc-frame.ts';
import { ttrpcNamespaceHeader } from './ttrpc-server.ts';

type UnaryClient<M> = M extends {
  methodKind: 'unary';
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? (request: MessageInitShape<I>, ctx: Context, timeoutMs?: number) => Promise<MessageShape<O>>
  : never;

/** A function for each unary method of a service, by its generated name. */
export type TtrpcServiceClient<S extends DescService> = {
  [K in keyof S['method']]: UnaryClient<S['method'][K]>;
};

/** Deadline of a call that names none. */
const defaultTimeoutMs = 60_000;

interface Call {
  resolve(response: Response): void;
  reject(error: unknown): void;
}

/** One connection to a ttrpc server. Any number of calls share it; when it ends, all of them fail `unavailable`. */
export class TtrpcClient implements Disposable {
  /** Settles (never rejects) when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, Call>();
  #nextStreamId = 1;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#read(chunk as Buffer));
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#failAll(unavailable('ttrpc: closed')));
  }

  /**
   * One call with an undecoded payload. The deadline goes along in the request; an abort of `ctx.signal` frees the
   * caller at once (ttrpc has no cancel message, so the server goes on until its deadline or the connection's end).
   * @throws what the server answered; aborted (deadline, signal); unavailable (connection gone)
   */
  async call(
    service: string,
    method: string,
    payload: Uint8Array,
    ctx: Context,
    timeoutMs = defaultTimeoutMs,
  ) {
    ctx.signal.throwIfAborted();
    if (this.#socket.destroyed) throw unavailable('ttrpc: closed');
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const request = create(RequestSchema, {
      service,
      method,
      payload,
      timeoutNano: BigInt(timeoutMs) * 1_000_000n,
      metadata: ctx.namespace === '' ? [] : [{ key: ttrpcNamespaceHeader, value: ctx.namespace }],
    });
    const frame = { streamId, type: FrameType.request, flags: FrameFlag.remoteClosed };
    this.#socket.write(encodeFrame({ ...frame, payload: toBinary(RequestSchema, request) }));
    const response = await this.#response(streamId, `${service}/${method}`, ctx.signal, timeoutMs);
    if (response.status !== undefined && response.status.code !== 0)
      throw fromStatus(response.status.code, response.status.message);
    return response.payload;
  }

  /** The typed client of a service over this connection; `name` where it goes by another one. */
  service<S extends DescService>(desc: S, name: string = desc.typeName): TtrpcServiceClient<S> {
    const methods: Record<string, unknown> = {};
    for (const method of desc.methods) {
      if (method.methodKind !== 'unary') continue;
      const encode = encoder(method.input);
      const decode = decoder(method.output);
      methods[method.localName] = async (request: never, ctx: Context, timeoutMs?: number) =>
        decode(await this.call(name, method.name, encode(request), ctx, timeoutMs));
    }
    return methods as TtrpcServiceClient<S>;
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Lets the process end although this connection is open. */
  unref(): void {
    this.#socket.unref();
  }

  async #response(streamId: number, name: string, signal: AbortSignal, timeoutMs: number): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.#calls.set(streamId, { resolve, reject });
    const onAbort = () => reject(signal.reason);
    const expire = () => reject(new DOMException(`${name}: context deadline exceeded`, 'TimeoutError'));
    const timer = setTimeout(expire, timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#calls.delete(streamId);
    }
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (frame.type !== FrameType.response) continue;
        this.#calls.get(frame.streamId)?.resolve(fromBinary(ResponseSchema, frame.payload));
      }
    } catch (error) {
      this.#failAll(unavailable(`ttrpc: bad answer: ${messageOf(error)}`, error));
      this.#socket.destroy();
    }
  }

  #failAll(error: unknown): void {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}

/** Connects to a ttrpc server on a path socket. @throws unavailable (nobody there, or not within `timeoutMs`) */
export async function connectTtrpc(path: string, timeoutMs = 5_000): Promise<TtrpcClient> {
  const socket = connect({ path });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  socket.once('connect', resolve).once('error', reject);
  try {
    await promise;
    return new TtrpcClient(socket);
  } catch (error) {
    socket.destroy();
    throw unavailable(`connect to ${path}: ${messageOf(error)}`, error);
  } finally {
    clearTimeout(timer);
  }
}
