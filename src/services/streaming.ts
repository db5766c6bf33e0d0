import { create, toBinary } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../errors/error.ts';
import { Streaming } from '../gen/containerd/services/streaming/v1/streaming_pb.ts';
import type { StreamItem } from '../rpc/named-stream.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { Streams } from '../rpc/streams.ts';

/** How long a client may take to say which stream it opens. */
const firstMessageMs = 30_000;

const acknowledgement: StreamItem = {
  typeUrl: EmptySchema.typeName,
  value: toBinary(EmptySchema, create(EmptySchema)),
};

/** The Streaming service: a client names its stream, gets an Empty back, and from then on other calls find it. */
export function streamingService(streams: Streams): ServiceBinding {
  return bindService(Streaming, {
    async *stream(requests, ctx) {
      const incoming = requests[Symbol.asyncIterator]();
      const first = await soon(incoming.next());
      if (first.done === true) throw invalidArgument('stream ended before it was named');
      using open = streams.open(ctx, first.value, incoming);
      ctx.log.debug({ stream: open.stream.id }, 'stream opened');
      yield wire(acknowledgement);
      for await (const item of open.stream.outgoing()) yield wire(item);
    },
  });
}

const wire = (item: StreamItem) => ({
  typeUrl: item.typeUrl,
  value: item.value as Uint8Array<ArrayBuffer>,
});

async function soon<T>(first: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new DOMException('stream was not named in time', 'TimeoutError')),
    firstMessageMs,
  );
  try {
    return await Promise.race([first, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
