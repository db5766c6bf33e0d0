import type { Socket } from 'node:net';
import { create, type DescService, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { messageOf, unavailable } from '../errors/error.ts';
import { RequestSchema, type Response, ResponseSchema } from '../gen/ttrpc/ttrpc_pb.ts';
import { fromStatus } from './status.ts';
import { encodeFrame, FrameFlag, FrameReader, FrameType } from './ttrpc-frame.ts';
import { ttrpcNamespaceHeader } from './ttrpc-server.ts';
import {
  answerWithin,
  defaultTimeoutMs,
  type UnaryClient,
  type UnaryServiceClient,
  unaryService,
} from './unary-client.ts';
import { connectUnix } from './unix-connect.ts';

interface Call {
  resolve(response: Response): void;
  reject(error: unknown): void;
}

/** One connection to a ttrpc server. */
export class TtrpcClient implements UnaryClient {
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
   * The deadline goes along in the request; an abort of `ctx.signal` frees the caller at once (ttrpc has no cancel
   * message, so the server goes on until its deadline or the connection's end).
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

  service<S extends DescService>(desc: S, name?: string): UnaryServiceClient<S> {
    return unaryService(this, desc, name);
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
    const answer = Promise.withResolvers<Response>();
    this.#calls.set(streamId, answer);
    try {
      return await answerWithin(answer, name, signal, timeoutMs);
    } finally {
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
export const connectTtrpc = async (path: string, timeoutMs?: number): Promise<TtrpcClient> =>
  new TtrpcClient(await connectUnix(path, timeoutMs));
