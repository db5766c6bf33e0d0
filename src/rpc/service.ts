import type { DescMessage, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import type { EncodedMessage } from './encoded-message.ts';

type UnaryMethod<I extends DescMessage, O extends DescMessage> = { methodKind: 'unary'; input: I; output: O };
type ServerMethod<I extends DescMessage, O extends DescMessage> = {
  methodKind: 'server_streaming';
  input: I;
  output: O;
};
type ClientMethod<I extends DescMessage, O extends DescMessage> = {
  methodKind: 'client_streaming';
  input: I;
  output: O;
};
type BidiMethod<I extends DescMessage, O extends DescMessage> = {
  methodKind: 'bidi_streaming';
  input: I;
  output: O;
};

/** What a method answers: a message or what it is made of, or its bytes. */
type Answer<O extends DescMessage> = MessageInitShape<O> | EncodedMessage;
/** What a stream yields: an answer, or several that travel in one write. */
type Answers<O extends DescMessage> = AsyncIterable<Answer<O> | readonly Answer<O>[]>;

type MethodImpl<M> =
  M extends UnaryMethod<infer I, infer O>
    ? (request: MessageShape<I>, ctx: Context) => Promise<Answer<O>>
    : M extends ServerMethod<infer I, infer O>
      ? (request: MessageShape<I>, ctx: Context) => Answers<O>
      : M extends ClientMethod<infer I, infer O>
        ? (requests: AsyncIterable<MessageShape<I>>, ctx: Context) => Promise<Answer<O>>
        : M extends BidiMethod<infer I, infer O>
          ? (requests: AsyncIterable<MessageShape<I>>, ctx: Context) => Answers<O>
          : never;

/**
 * What a service file exports: a function for each method it serves, by generated method name. A method left out
 * answers UNIMPLEMENTED naming itself. Streams are async iterables: returning ends the stream, throwing fails it,
 * and `ctx.signal` fires when the client is gone.
 */
export type ServiceImpl<S extends DescService> = { [K in keyof S['method']]?: MethodImpl<S['method'][K]> };

/** A service and its implementation, ready to be added to a gRPC or ttrpc server. */
export interface ServiceBinding {
  readonly desc: DescService;
  readonly impl: Readonly<Record<string, unknown>>;
}

/** Ties an implementation to its description; the compiler checks every shape. */
export function bindService<S extends DescService>(desc: S, impl: ServiceImpl<S>): ServiceBinding {
  return { desc, impl: impl as Readonly<Record<string, unknown>> };
}
