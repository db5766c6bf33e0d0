import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { invalidArgument } from '../errors/error.ts';
import { DataSchema, WindowUpdateSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import { typeNameOf } from './any.ts';
import type { NamedStream, StreamItem } from './named-stream.ts';

/** Largest piece sent, and the credit a receiver gives at a time (containerd's core/transfer/streaming). */
const pieceBytes = 32 * 1024;
const windowBytes = 2 * pieceBytes;

/**
 * Sends bytes in pieces of at most 32 KiB, as the receiver gives credit, and closes the stream at the end or on failure.
 * @throws what `source` throws, aborted (client gone)
 */
export async function sendBytes(stream: NamedStream, source: AsyncIterable<Uint8Array>): Promise<void> {
  let credit = 0;
  try {
    for await (const chunk of source)
      for (let at = 0; at < chunk.length; ) {
        while (credit <= 0) credit += await nextCredit(stream);
        const size = Math.min(pieceBytes, credit, chunk.length - at);
        await stream.send(dataItem(chunk.subarray(at, at + size)));
        at += size;
        credit -= size;
      }
  } finally {
    stream.close();
  }
}

/** Bytes that the client sends, a credit of 64 KiB ahead; leaving the loop closes the stream. */
export async function* receiveBytes(stream: NamedStream): AsyncGenerator<Uint8Array> {
  let window = 0;
  try {
    for (;;) {
      if (window < windowBytes) {
        await stream.send(windowItem);
        window += windowBytes;
      }
      const item = await stream.receive();
      if (item === undefined) return;
      if (typeNameOf(item.typeUrl) !== DataSchema.typeName) continue;
      const { data } = fromBinary(DataSchema, item.value);
      window -= data.length;
      yield data;
    }
  } finally {
    stream.close();
  }
}

async function nextCredit(stream: NamedStream): Promise<number> {
  for (;;) {
    const item = await stream.receive();
    if (item === undefined) throw invalidArgument(`receiver of stream ${stream.id} gives no more credit`);
    if (typeNameOf(item.typeUrl) === WindowUpdateSchema.typeName)
      return Math.max(0, fromBinary(WindowUpdateSchema, item.value).update);
  }
}

const dataItem = (data: Uint8Array): StreamItem => ({
  typeUrl: DataSchema.typeName,
  value: toBinary(DataSchema, create(DataSchema, { data: data as Uint8Array<ArrayBuffer> })),
});

const windowItem: StreamItem = {
  typeUrl: WindowUpdateSchema.typeName,
  value: toBinary(WindowUpdateSchema, create(WindowUpdateSchema, { update: windowBytes })),
};
