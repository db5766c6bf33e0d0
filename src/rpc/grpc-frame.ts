import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { internal, notImplemented, resourceExhausted } from '../errors/error.ts';
import { ByteQueue } from './byte-queue.ts';
import { encoder, maxMessageBytes } from './codec.ts';
import { EncodedMessage } from './encoded-message.ts';

/** Before each message: one byte that says whether it is compressed, four with its length (grpc/doc/PROTOCOL-HTTP2.md). */
const prefixBytes = 5;

/** One message as it came. */
export interface ReceivedMessage {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

/** One message as it is sent, in parts that follow each other. */
export type Frame = readonly Uint8Array[];

/** Message ▶ its frame, not compressed; what is encoded already is not copied. @throws resource_exhausted over 16 MiB */
export function frameEncoder<D extends DescMessage>(
  desc: D,
): (message: MessageInitShape<D> | EncodedMessage) => Frame {
  const encode = encoder(desc, prefixBytes);
  return (message) =>
    message instanceof EncodedMessage
      ? [putPrefix(Buffer.allocUnsafe(prefixBytes), message.length), ...message.parts]
      : [withPrefix(encode(message))];
}

/** As {@link frameEncoder}, of a message that is encoded already. */
export const frameMessage = (message: Uint8Array): Buffer =>
  withPrefix(Buffer.concat([Buffer.alloc(prefixBytes), message]));

const withPrefix = (frame: Buffer): Buffer => putPrefix(frame, frame.length - prefixBytes);

function putPrefix(frame: Buffer, length: number): Buffer {
  if (length > maxMessageBytes)
    throw resourceExhausted(
      `grpc: trying to send message larger than max (${length} vs. ${maxMessageBytes})`,
    );
  frame[0] = 0;
  frame.writeUInt32BE(length, 1);
  return frame;
}

/** Cuts what comes in into messages of at most 16 MiB. Holds no more than one message and the chunk given last. */
export class MessageSplitter {
  readonly #bytes = new ByteQueue();

  /** Whether bytes of an unfinished message are held. */
  get partial(): boolean {
    return this.#bytes.length > 0;
  }

  /** The messages that `chunk` completes. @throws resource_exhausted (announces more than 16 MiB), internal (bad prefix) */
  push(chunk: Buffer): ReceivedMessage[] {
    this.#bytes.push(chunk);
    const messages: ReceivedMessage[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) messages.push(next);
    return messages;
  }

  #next(): ReceivedMessage | undefined {
    if (this.#bytes.length < prefixBytes) return undefined;
    const prefix = this.#bytes.peek(prefixBytes);
    const length = prefix.readUInt32BE(1);
    const flag = prefix.readUInt8(0);
    if (flag > 1) throw internal(`grpc: received unexpected payload format ${flag}`);
    if (length > maxMessageBytes)
      throw resourceExhausted(`grpc: received message larger than max (${length} vs. ${maxMessageBytes})`);
    if (this.#bytes.length < prefixBytes + length) return undefined;
    const whole = this.#bytes.take(prefixBytes + length);
    return { compressed: flag === 1, bytes: whole.subarray(prefixBytes) };
  }
}

/** What a client may compress its messages with. */
export type Encoding = 'identity' | 'gzip' | 'deflate';

/** @throws not_implemented in grpc-go's words */
export function parseEncoding(name: string | undefined): Encoding {
  if (name === undefined || name === 'identity' || name === '') return 'identity';
  if (name === 'gzip' || name === 'deflate') return name;
  throw notImplemented(
    `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(name.slice(0, 64))}`,
  );
}
