import { randomBytes } from 'node:crypto';
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { unavailable } from '../errors/error.ts';
import { StreamInitSchema, Streaming } from '../gen/containerd/services/streaming/v1/streaming_pb.ts';
import { typeNameOf } from '../rpc/any.ts';
import type { Connection } from './connection.ts';
import { Outbox } from './outbox.ts';

/** A named stream of typed messages between client and daemon (containerd's Streaming service). */
export interface MessageStream extends AsyncDisposable {
  /** What other calls refer to it by. */
  readonly id: string;
  send<D extends DescMessage>(schema: D, message: MessageShape<D>): void;
  /** Messages of this type from the daemon, others are skipped; ends when the daemon closes the stream. */
  receive<D extends DescMessage>(schema: D): AsyncIterable<MessageShape<D>>;
}

const wrapAny = <D extends DescMessage>(schema: D, message: MessageShape<D>) => ({
  typeUrl: schema.typeName,
  value: toBinary(schema, message),
});

/**
 * Opens a stream and waits for the daemon's acknowledgement (an empty message), so that a call which names the
 * stream finds it. `purpose` is a readable prefix of its id. @throws unavailable
 */
export async function openStream(
  connection: Connection,
  purpose: string,
  signal: AbortSignal | undefined,
): Promise<MessageStream> {
  const id = `${purpose}-${randomBytes(16).toString('hex')}`;
  const outbox = new Outbox<{ typeUrl: string; value: Uint8Array<ArrayBuffer> }>();
  const calls = connection.service(Streaming).stream(outbox, connection.stream({ signal }));
  const incoming = calls[Symbol.asyncIterator]();
  outbox.push(wrapAny(StreamInitSchema, create(StreamInitSchema, { id })));
  if ((await incoming.next()).done === true) throw unavailable(`daemon refused stream ${id}`);
  return {
    id,
    send: (schema, message) => outbox.push(wrapAny(schema, message)),
    receive: (schema) => decode(incoming, schema),
    async [Symbol.asyncDispose]() {
      outbox.end();
    },
  };
}

async function* decode<D extends DescMessage>(
  incoming: AsyncIterator<Any>,
  schema: D,
): AsyncGenerator<MessageShape<D>, void, void> {
  for (;;) {
    const next = await incoming.next();
    if (next.done === true) return;
    if (typeNameOf(next.value.typeUrl) === schema.typeName) yield fromBinary(schema, next.value.value);
  }
}
