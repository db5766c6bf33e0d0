import type { DescMessage, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { decoder, encoder } from './codec.ts';

type UnaryMethod<M> = M extends {
  methodKind: 'unary';
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? (request: MessageInitShape<I>, ctx: Context, timeoutMs?: number) => Promise<MessageShape<O>>
  : never;

/** A function for each unary method of a service, by its generated name. */
export type UnaryServiceClient<S extends DescService> = {
  [K in keyof S['method']]: UnaryMethod<S['method'][K]>;
};

/** Deadline of a call that names none. */
export const defaultTimeoutMs = 60_000;

/** One connection to a server of unary methods, ttrpc or gRPC. Any number of calls share it; when it ends, all of them fail `unavailable`. */
export interface UnaryClient extends Disposable {
  /** Settles (never rejects) when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /**
   * One call with an undecoded payload.
   * @throws what the server answered; the signal's reason; a TimeoutError after `timeoutMs` (default 60,000); unavailable (connection gone)
   */
  call(
    service: string,
    method: string,
    payload: Uint8Array,
    ctx: Context,
    timeoutMs?: number,
  ): Promise<Uint8Array>;
  /** The typed client of a service over this connection; `name` where it goes by another one. */
  service<S extends DescService>(desc: S, name?: string): UnaryServiceClient<S>;
  close(): void;
}

/** What {@link UnaryClient.service} gives. */
export function unaryService<S extends DescService>(
  client: Pick<UnaryClient, 'call'>,
  desc: S,
  name: string = desc.typeName,
): UnaryServiceClient<S> {
  const methods: Record<string, unknown> = {};
  for (const method of desc.methods) {
    if (method.methodKind !== 'unary') continue;
    const encode = encoder(method.input);
    const decode = decoder(method.output);
    methods[method.localName] = async (request: never, ctx: Context, timeoutMs?: number) =>
      decode(await client.call(name, method.name, encode(request), ctx, timeoutMs));
  }
  return methods as UnaryServiceClient<S>;
}

/** The answer to the call `name`, unless the signal fires or the deadline passes before. @throws the signal's reason, TimeoutError */
export async function answerWithin<T>(
  answer: PromiseWithResolvers<T>,
  name: string,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<T> {
  const onAbort = () => answer.reject(signal.reason);
  const expire = () => answer.reject(new DOMException(`${name}: context deadline exceeded`, 'TimeoutError'));
  const timer = setTimeout(expire, timeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await answer.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
