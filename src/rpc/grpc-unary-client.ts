import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { DescService } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { internal, unavailable, unknown } from '../errors/error.ts';
import { frameMessage, MessageSplitter, type ReceivedMessage } from './grpc-frame.ts';
import { namespaceHeader } from './headers.ts';
import { Code, fromStatus } from './status.ts';
import {
  answerWithin,
  defaultTimeoutMs,
  type UnaryClient,
  type UnaryServiceClient,
  unaryService,
} from './unary-client.ts';
import { connectUnix } from './unix-connect.ts';

const { NGHTTP2_CANCEL } = constants;

/**
 * One connection to a gRPC server, for its unary methods: unlike the client of grpc-client.ts it never connects again by
 * itself, so its end tells that of the server. Messages of at most 16 MiB, uncompressed.
 */
export class GrpcUnaryClient implements UnaryClient {
  readonly closed: Promise<void>;
  readonly #session: ClientHttp2Session;

  constructor(socket: Socket) {
    this.#session = connect('http://localhost', {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    this.closed = new Promise((resolve) => this.#session.once('close', () => resolve()));
    // What went wrong with it is told by its close.
    this.#session.on('error', () => {});
  }

  /** The deadline goes along in the request; past it, or at an abort of `ctx.signal`, the server is told to stop. */
  async call(
    service: string,
    method: string,
    payload: Uint8Array,
    ctx: Context,
    timeoutMs = defaultTimeoutMs,
  ): Promise<Uint8Array> {
    ctx.signal.throwIfAborted();
    if (this.#isOver) throw closedError();
    const path = `/${service}/${method}`;
    const frame = frameMessage(payload);
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${timeoutMs}m`,
      ...(ctx.namespace === '' ? {} : { [namespaceHeader]: ctx.namespace }),
    });
    try {
      const answer = this.#answer(stream);
      stream.end(frame);
      return await answerWithin(answer, path.slice(1), ctx.signal, timeoutMs);
    } finally {
      stream.close(NGHTTP2_CANCEL);
    }
  }

  service<S extends DescService>(desc: S, name?: string): UnaryServiceClient<S> {
    return unaryService(this, desc, name);
  }

  close(): void {
    this.#session.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #isOver(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** Settles when the stream is over. */
  #answer(stream: ClientHttp2Stream): PromiseWithResolvers<Buffer> {
    const answer = Promise.withResolvers<Buffer>();
    const messages: ReceivedMessage[] = [];
    const splitter = new MessageSplitter();
    let head: IncomingHttpHeaders | undefined;
    let trailers: IncomingHttpHeaders | undefined;
    stream.on('response', (headers) => {
      head = headers;
    });
    stream.on('trailers', (headers) => {
      trailers = headers;
    });
    stream.on('data', (chunk: Buffer) => {
      try {
        messages.push(...splitter.push(chunk));
        if (messages.length > 1) throw internal('grpc: more than one answer to a call');
      } catch (error) {
        answer.reject(error);
      }
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      if (head === undefined && this.#isOver) return answer.reject(closedError());
      try {
        answer.resolve(answerOf(head, trailers, messages[0]));
      } catch (error) {
        answer.reject(error);
      }
    });
    return answer;
  }
}

/** Connects to a gRPC server on a path socket. @throws unavailable (nobody there, or not within `timeoutMs`) */
export const connectGrpc = async (path: string, timeoutMs?: number): Promise<GrpcUnaryClient> =>
  new GrpcUnaryClient(await connectUnix(path, timeoutMs));

const closedError = () => unavailable('grpc: closed');

/** What an ended stream has brought. A call that fails at once has its status in its only headers. */
function answerOf(
  head: IncomingHttpHeaders = {},
  trailers: IncomingHttpHeaders = head,
  message?: ReceivedMessage,
): Buffer {
  const status = trailers['grpc-status'];
  if (typeof status !== 'string' || !/^\d{1,2}$/.test(status)) throw withoutStatus(head);
  const code = Number(status);
  if (code !== Code.ok) throw fromStatus(code, decoded(String(trailers['grpc-message'] ?? '')));
  if (message === undefined) throw internal('grpc: no answer to a call');
  if (message.compressed) throw internal('grpc: compressed answer, which nobody asked for');
  return message.bytes;
}

function withoutStatus(head: IncomingHttpHeaders) {
  const status = head[':status'];
  if (status === undefined) return unavailable('grpc: stream ended without an answer');
  return Number(status) === 200
    ? internal('grpc: answer without a status')
    : unknown(`grpc: answer with HTTP status ${status}`);
}

/** `grpc-message` is percent-encoded; what is not, stays as it is (grpc/doc/PROTOCOL-HTTP2.md). */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
