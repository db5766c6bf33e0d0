import { create, toBinary } from '@bufbuild/protobuf';
import { aborted } from '../errors/error.ts';
import { DataSchema, WindowUpdateSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import { decodeAny } from './any.ts';
import type { NamedStream, StreamItem } from './named-stream.ts';

/** What containerd puts into one message. */
const chunkBytes = 32 * 1024;
/** How far a sender may run ahead of us; containerd grants 64 KiB, which costs a round trip for every other chunk. */
const windowBytes = 1024 * 1024;

/**
 * Bytes that a client sends over a stream, as containerd's clients do: the receiver grants a window, the sender fills it
 * with Data and ends the stream. Items of other types are skipped. @throws what ended the client's call
 */
export async function* receiveBytes(stream: NamedStream): AsyncGenerator<Uint8Array, void, void> {
  let granted = 0;
  for (;;) {
    if (granted < windowBytes / 2) {
      granted += windowBytes;
      await stream.send(windowUpdate(windowBytes));
    }
    const item = await stream.receive();
    if (item === undefined) return;
    const { data } = decodeAny(DataSchema, item) ?? {};
    if (data === undefined) continue;
    granted -= data.byteLength;
    yield data;
  }
}

/** Sends bytes to a client as fast as it grants windows for them. Disposing of it stops listening for windows. */
export class ByteSender {
  readonly #stream: NamedStream;
  #window = 0;

  constructor(stream: NamedStream) {
    this.#stream = stream;
  }

  /** @throws aborted when the client takes no more */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      while (this.#window <= 0) await this.#moreWindow();
      const chunk = bytes.subarray(at, at + Math.min(chunkBytes, this.#window));
      await this.#stream.send(dataItem(chunk));
      this.#window -= chunk.byteLength;
      at += chunk.byteLength;
    }
  }

  async #moreWindow(): Promise<void> {
    const item = await this.#stream.receive();
    if (item === undefined) throw aborted(`client of stream ${this.#stream.id} takes no more`);
    this.#window += Math.max(0, decodeAny(WindowUpdateSchema, item)?.update ?? 0);
  }
}

const windowUpdate = (update: number): StreamItem => ({
  typeUrl: WindowUpdateSchema.typeName,
  value: toBinary(WindowUpdateSchema, create(WindowUpdateSchema, { update })),
});

const dataItem = (chunk: Uint8Array): StreamItem => ({
  typeUrl: DataSchema.typeName,
  value: toBinary(DataSchema, create(DataSchema, { data: chunk as Uint8Array<ArrayBuffer> })),
});
