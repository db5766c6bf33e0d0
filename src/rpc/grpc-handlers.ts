import { once } from 'node:events';
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
} from '@grpc/grpc-js';
import type { Context } from '../async/context.ts';
import type { ServerCall } from './grpc-call.ts';
import { toStatus } from './status.ts';

/** Runs `work` with the context of `call`: the one place where every call passes (see grpc-server.ts). */
export type Run = <T>(call: ServerCall, work: (ctx: Context) => Promise<T>) => Promise<T>;

type Fn = (request: unknown, ctx: Context) => unknown;
type ByKind = {
  unary: handleUnaryCall<unknown, unknown>;
  client_streaming: handleClientStreamingCall<unknown, unknown>;
  server_streaming: handleServerStreamingCall<unknown, unknown>;
  bidi_streaming: handleBidiStreamingCall<unknown, unknown>;
};

/** Makes grpc-js handlers of a method's implementation, one for each of the four kinds. */
export function handlerOf(kind: keyof ByKind, fn: Fn, run: Run): ByKind[keyof ByKind] {
  const makers: { [K in keyof ByKind]: () => ByKind[K] } = {
    unary: () => (call, reply) => answer(reply, () => run(call, async (ctx) => fn(call.request, ctx))),
    client_streaming: () => (call, reply) =>
      answer(reply, () => run(call, async (ctx) => fn(requestsOf(call, ctx.signal), ctx))),
    server_streaming: () => (call) =>
      settle(
        call,
        run(call, (ctx) => send(call, fn(call.request, ctx) as AsyncIterable<unknown>, ctx)),
      ),
    bidi_streaming: () => (call) =>
      settle(
        call,
        run(call, (ctx) => send(call, fn(requestsOf(call, ctx.signal), ctx) as AsyncIterable<unknown>, ctx)),
      ),
  };
  return makers[kind]();
}

type Reply = (error: { code: number; details: string } | null, value?: unknown) => void;

function answer(reply: Reply, work: () => Promise<unknown>): void {
  work().then(
    (value) => reply(null, value),
    (error) => reply(wireError(error)),
  );
}

interface Sink extends NodeJS.EventEmitter {
  sendMetadata(metadata: Metadata): void;
  write(message: unknown): boolean;
  end(): unknown;
  emit(event: 'error', error: object): boolean;
}

function settle(call: Sink, work: Promise<void>): void {
  work.then(
    () => void call.end(),
    (error) => void call.emit('error', wireError(error)),
  );
}

/**
 * Sends what `messages` yields, no faster than the client takes it. Headers go out as soon as the service runs, so a client
 * that waits for them knows that it is subscribed. @throws the signal's reason when the client is gone
 */
async function send(call: Sink, messages: AsyncIterable<unknown>, ctx: Context): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    call.sendMetadata(new Metadata());
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      ctx.signal.throwIfAborted();
      if (!call.write(value)) await once(call, 'drain', { signal: ctx.signal });
      next = iterator.next();
    }
  } catch (error) {
    await iterator.return?.();
    throw error;
  }
}

/** Requests as they are asked for. Stopping early leaves the responding half open. */
async function* requestsOf(
  call: ServerReadableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  try {
    yield* call.iterator({ destroyOnReturn: false });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

function wireError(error: unknown): { code: number; details: string } {
  const { code, message } = toStatus(error);
  return { code, details: message };
}
