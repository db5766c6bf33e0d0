import type { DescMessage, DescMethod, DescService, MessageInitShape } from '@bufbuild/protobuf';
import type { CallOptions } from '../../src/rpc/grpc-client.ts';
import { localise, normalise, normaliseText } from './normalise.ts';
import type { Side } from './sides.ts';
import type { World } from './world.ts';

/** One call as it is made on both sides. `requests` has one entry unless the client streams. */
export interface Call {
  /** `Images.create`. */
  readonly method: string;
  readonly service: DescService;
  readonly desc: DescMethod;
  readonly requests: readonly object[];
  readonly options: CallOptions;
  /** Makes it, where one request is not all of it. @returns the messages */
  readonly perform?: Perform | undefined;
}

/** A call that takes several, because it needs what another made on the same side. */
export type Perform = (side: Side, namespace: string, requests: readonly object[]) => Promise<unknown[]>;

/** What came back: the messages until the end or the error. */
export interface Answer {
  readonly messages: readonly unknown[];
  readonly code: number;
  readonly text: string;
}

/** Makes a call that could succeed, out of the names that the world knows. */
export interface Maker {
  readonly service: DescService;
  readonly desc: DescMethod;
  /** How often it is chosen, against the others. */
  readonly weight: number;
  readonly make: (world: World) => readonly object[];
  readonly perform?: Perform;
}

type Input<S extends DescService, M extends keyof S['method']> = S['method'][M] extends {
  input: infer I extends DescMessage;
}
  ? MessageInitShape<I>
  : never;

/** A maker of calls of one method; `make` gives the request, or the requests of a stream. */
export function maker<S extends DescService, M extends keyof S['method'] & string>(
  service: S,
  method: M,
  weight: number,
  make: (world: World) => Input<S, M> | readonly Input<S, M>[],
): Maker {
  const desc = service.method[method];
  if (desc === undefined) throw new Error(`no method ${method}`);
  return { service, desc, weight, make: (world) => [make(world)].flat() as readonly object[] };
}

/** Longest that one call may take; a stream that was opened well lasts that long. */
const deadlineMs = { unary: 20_000, server_streaming: 20_000, client_streaming: 2000, bidi_streaming: 2000 };

/** Makes the call on one side. */
export async function answerOf(side: Side, call: Call): Promise<Answer> {
  const { service, desc, requests, options } = call;
  const messages: unknown[] = [];
  const method = side.methods(service)[desc.localName];
  if (method === undefined) throw new Error(`no method ${desc.name}`);
  const streams = desc.methodKind === 'bidi_streaming' || desc.methodKind === 'client_streaming';
  try {
    if (call.perform !== undefined) {
      const performed = await call.perform(side, options.namespace ?? '', requests);
      return { messages: performed.map((message) => normalise(message, side)), code: 0, text: '' };
    }
    const sent = requests.map((request) => localise(request, side));
    const reply = method(streams ? streamed(sent) : sent[0], {
      deadlineMs: deadlineMs[desc.methodKind],
      ...options,
    });
    if (isStream(reply)) for await (const message of reply) messages.push(normalise(message, side));
    else messages.push(normalise(await reply, side));
    return { messages, code: 0, text: '' };
  } catch (error) {
    return { messages, ...statusOf(error, side) };
  }
}

async function* streamed(requests: readonly unknown[]): AsyncGenerator<unknown> {
  yield* requests;
}

const isStream = (reply: unknown): reply is AsyncIterable<unknown> =>
  typeof reply === 'object' && reply !== null && Symbol.asyncIterator in reply;

/** The status as it came over the wire. */
function statusOf(error: unknown, side: Side): { code: number; text: string } {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof DOMException && cause.name === 'TimeoutError')
    return { code: 4, text: 'deadline exceeded' };
  const { code, details } = (cause ?? error) as { code?: unknown; details?: unknown };
  if (details === 'Call cancelled') return { code: 4, text: 'deadline exceeded' };
  if (typeof code !== 'number' || typeof details !== 'string') throw error;
  return { code, text: normaliseText(details, side) };
}
