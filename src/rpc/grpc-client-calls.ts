import { once } from 'node:events';
import type { DescMethod } from '@bufbuild/protobuf';
import type { Client, CallOptions as GrpcCallOptions, Metadata, ServiceError } from '@grpc/grpc-js';
import { decoder, encoder } from './codec.ts';
import { type CallOptions, grpcOptionsOf, merge, metadataOf } from './grpc-client-options.ts';
import { fromStatus } from './status.ts';

/** A grpc-js client, the options every call starts from, and the calls running now. */
export interface Caller {
  readonly client: Client;
  readonly defaults: CallOptions;
  readonly running: Set<Cancellable>;
}

export interface Cancellable {
  cancel(): void;
}

type AnyCall = (input: never, options?: CallOptions) => unknown;

/** The function that calls `method`, of the shape its kind asks for. */
export function callerOf(method: DescMethod, caller: Caller): AnyCall {
  const path = `/${method.parent.typeName}/${method.name}`;
  const wire: Wire = { path, encode: encoder(method.input), decode: decoder(method.output), caller };
  const makers: Record<DescMethod['methodKind'], () => AnyCall> = {
    unary: () => (request, options) => unary(wire, request, options),
    client_streaming: () => (requests, options) => clientStreaming(wire, requests, options),
    server_streaming: () => (request, options) => serverStreaming(wire, request, options),
    bidi_streaming: () => (requests, options) => bidiStreaming(wire, requests, options),
  };
  return makers[method.methodKind]();
}

interface Wire {
  readonly path: string;
  readonly encode: (message: never) => Buffer;
  readonly decode: (bytes: Buffer) => unknown;
  readonly caller: Caller;
}

type Settle = (error: ServiceError | null, value?: unknown) => void;

function unary(wire: Wire, request: never, options?: CallOptions): Promise<unknown> {
  return replied(wire, options, (metadata, grpcOptions, settle) =>
    wire.caller.client.makeUnaryRequest(
      wire.path,
      wire.encode,
      wire.decode,
      request,
      metadata,
      grpcOptions,
      settle,
    ),
  );
}

function clientStreaming(
  wire: Wire,
  requests: AsyncIterable<never>,
  options?: CallOptions,
): Promise<unknown> {
  return replied(wire, options, (metadata, grpcOptions, settle) => {
    const call = wire.caller.client.makeClientStreamRequest(
      wire.path,
      wire.encode,
      wire.decode,
      metadata,
      grpcOptions,
      settle,
    );
    call.on('error', () => {});
    void pump(call, requests).catch((error) => {
      settle(error);
      call.cancel();
    });
    return call;
  });
}

/** Runs a call that has one answer. */
async function replied(
  wire: Wire,
  options: CallOptions | undefined,
  start: (metadata: Metadata, grpcOptions: GrpcCallOptions, settle: Settle) => Cancellable,
): Promise<unknown> {
  const all = merge(wire.caller.defaults, options);
  all.signal?.throwIfAborted();
  const reply = Promise.withResolvers<unknown>();
  const call = start(metadataOf(all), grpcOptionsOf(all), (error, value) =>
    error === null ? reply.resolve(value) : reply.reject(error),
  );
  using _ = cancelling(call, wire.caller, all.signal);
  try {
    return await reply.promise;
  } catch (error) {
    throw received(error, all.signal);
  }
}

async function* serverStreaming(wire: Wire, request: never, options?: CallOptions): AsyncGenerator<unknown> {
  const all = merge(wire.caller.defaults, options);
  all.signal?.throwIfAborted();
  const { client } = wire.caller;
  const call = client.makeServerStreamRequest(
    wire.path,
    wire.encode,
    wire.decode,
    request,
    metadataOf(all),
    grpcOptionsOf(all),
  );
  yield* responses(call, wire.caller, all.signal);
}

async function* bidiStreaming(
  wire: Wire,
  requests: AsyncIterable<never>,
  options?: CallOptions,
): AsyncGenerator<unknown> {
  const all = merge(wire.caller.defaults, options);
  all.signal?.throwIfAborted();
  const { client } = wire.caller;
  const call = client.makeBidiStreamRequest(
    wire.path,
    wire.encode,
    wire.decode,
    metadataOf(all),
    grpcOptionsOf(all),
  );
  let inputFailure: { error: unknown } | undefined;
  void pump(call, requests).catch((error) => {
    inputFailure = { error };
    call.cancel();
  });
  try {
    yield* responses(call, wire.caller, all.signal);
  } catch (error) {
    throw inputFailure === undefined ? error : inputFailure.error;
  }
}

interface Responses extends AsyncIterable<unknown>, Cancellable {
  on(event: 'error', listener: () => void): unknown;
}

/** What the server sends; leaving the loop early cancels the call. */
async function* responses(
  call: Responses,
  caller: Caller,
  signal: AbortSignal | undefined,
): AsyncGenerator<unknown> {
  call.on('error', () => {});
  using _ = cancelling(call, caller, signal);
  try {
    for await (const message of call) yield message;
  } catch (error) {
    throw received(error, signal);
  } finally {
    call.cancel();
  }
}

/** Lets the signal and the closing of the channel cancel a call while it runs. */
function cancelling(call: Cancellable, { running }: Caller, signal: AbortSignal | undefined): Disposable {
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  running.add(call);
  return {
    [Symbol.dispose]() {
      running.delete(call);
      signal?.removeEventListener('abort', cancel);
    },
  };
}

interface Requests extends NodeJS.EventEmitter {
  write(message: never): boolean;
  end(): unknown;
}

/** Sends what `requests` yields as the server takes it; ends early and quietly when the call is over. */
async function pump(call: Requests, requests: AsyncIterable<never>): Promise<void> {
  const over = new AbortController();
  const finish = () => over.abort();
  for (const event of ['status', 'error', 'close']) call.once(event, finish);
  for await (const request of requests) {
    if (over.signal.aborted) return;
    if (!call.write(request)) await once(call, 'drain', { signal: over.signal }).catch(() => {});
  }
  if (!over.signal.aborted) call.end();
}

/** The error to throw: the caller's own reason when they cancelled, else what the server said. */
function received(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'number')) return error;
  const details = 'details' in error && typeof error.details === 'string' ? error.details : error.message;
  return fromStatus(error.code, details, error);
}
