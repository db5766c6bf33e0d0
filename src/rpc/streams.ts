import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound, resourceExhausted } from '../errors/error.ts';
import { StreamInitSchema } from '../gen/containerd/services/streaming/v1/streaming_pb.ts';
import { decodeAny } from './any.ts';
import { NamedStream, type StreamItem } from './named-stream.ts';

const maxStreams = 4096;
const maxIdLength = 256;

/** The open streams of the Streaming service, by namespace and id, for the calls that name them (Transfer). */
export class Streams {
  readonly #streams = new Map<string, NamedStream>();

  /** Number of open streams. */
  get size(): number {
    return this.#streams.size;
  }

  /** @throws not_found */
  get(ctx: Context, id: string): NamedStream {
    const stream = this.#streams.get(keyOf(ctx, id));
    if (stream === undefined) throw notFound(`stream ${JSON.stringify(id)}`);
    return stream;
  }

  /**
   * Registers a stream under the id of its first message; disposing of it closes and forgets it.
   * @throws already_exists, invalid_argument (first message), resource_exhausted (more than 4096 streams)
   */
  open(ctx: Context, first: StreamItem, incoming: AsyncIterator<StreamItem>): OpenStream {
    const id = idOf(first);
    const key = keyOf(ctx, id);
    if (this.#streams.has(key)) throw alreadyExists(`stream ${JSON.stringify(id)}`);
    if (this.#streams.size >= maxStreams) throw resourceExhausted('too many open streams');
    const stream = new NamedStream(id, incoming, ctx.signal);
    this.#streams.set(key, stream);
    const forget = () => {
      stream.close();
      this.#streams.delete(key);
    };
    return { stream, [Symbol.dispose]: forget };
  }
}

export interface OpenStream extends Disposable {
  readonly stream: NamedStream;
}

const keyOf = (ctx: Context, id: string): string => `${ctx.namespace}\0${id}`;

function idOf(first: StreamItem): string {
  const { id } = decodeAny(StreamInitSchema, first) ?? {};
  if (id === undefined)
    throw invalidArgument(`first message of a stream is ${JSON.stringify(first.typeUrl)}, not StreamInit`);
  if (id === '') throw invalidArgument('stream has no id');
  if (id.length > maxIdLength) throw invalidArgument(`stream id is longer than ${maxIdLength}`);
  return id;
}
