import type { DescMethod } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { internal, messageOf, notImplemented } from '../errors/error.ts';
import { decoder } from './codec.ts';
import type { GrpcExchange } from './grpc-exchange.ts';
import { type Frame, frameEncoder } from './grpc-frame.ts';

type Fn = (request: unknown, ctx: Context) => unknown;

/** Serves one call: reads its requests, runs the service, sends its answers. What it throws is the call's status. */
export type Handler = (exchange: GrpcExchange, ctx: Context) => Promise<void>;

/** The handler of a method's implementation, by its kind. */
export function handlerOf(method: DescMethod, fn: Fn): Handler {
  const wire: Wire = { decode: decoder(method.input), encode: frameEncoder(method.output) };
  const makers: Record<DescMethod['methodKind'], Handler> = {
    unary: async (exchange, ctx) => {
      const request = await onlyRequest(exchange, wire);
      exchange.reply(wire.encode((await fn(request, ctx)) as never));
    },
    client_streaming: async (exchange, ctx) =>
      exchange.reply(wire.encode((await fn(requestsOf(exchange, wire), ctx)) as never)),
    server_streaming: async (exchange, ctx) => {
      const request = await onlyRequest(exchange, wire);
      await sendAll(exchange, wire, fn(request, ctx) as AsyncIterable<unknown>, ctx);
    },
    bidi_streaming: (exchange, ctx) =>
      sendAll(exchange, wire, fn(requestsOf(exchange, wire), ctx) as AsyncIterable<unknown>, ctx),
  };
  return makers[method.methodKind];
}

interface Wire {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: never) => Frame;
}

async function onlyRequest(exchange: GrpcExchange, wire: Wire): Promise<unknown> {
  const bytes = await exchange.receive();
  if (bytes === undefined) throw notImplemented('request holds no message');
  if ((await exchange.receive()) !== undefined) throw notImplemented('request holds more than one message');
  return decoded(bytes, wire);
}

/** Requests as they are asked for. Stopping early leaves the answering half open. */
async function* requestsOf(exchange: GrpcExchange, wire: Wire): AsyncGenerator<unknown> {
  for (let bytes = await exchange.receive(); bytes !== undefined; bytes = await exchange.receive())
    yield decoded(bytes, wire);
}

function decoded(bytes: Uint8Array, { decode }: Wire): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    throw internal(`grpc: error unmarshalling request: ${messageOf(error)}`, error);
  }
}

/**
 * Sends what `messages` yields, an array of them in one write, no faster than the client takes it. Headers go out as soon as the service runs, so a client
 * that waits for them knows that it is subscribed. @throws the signal's reason when the client is gone
 */
async function sendAll(
  exchange: GrpcExchange,
  { encode }: Wire,
  messages: AsyncIterable<unknown>,
  ctx: Context,
): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    exchange.open();
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      ctx.signal.throwIfAborted();
      await exchange.send(
        Array.isArray(value) ? value.flatMap((message) => encode(message as never)) : encode(value as never),
      );
      next = iterator.next();
    }
  } catch (error) {
    await iterator.return?.();
    throw error;
  }
}
