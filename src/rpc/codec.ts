import { type DescMessage, fromBinary, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import type { EncodedMessage } from './encoded-message.ts';
import { messageEncoder } from './message-encoder.ts';

/** Largest message either way, containerd's default (16 MiB). */
export const maxMessageBytes = 16 * 1024 * 1024;

/** Bytes ▶ message. `bytes` fields are views of the input, not copies. */
export function decoder<D extends DescMessage>(desc: D): (bytes: Uint8Array) => MessageShape<D> {
  return (bytes) => fromBinary(desc, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Message or init shape ▶ bytes behind `room` that are left to the caller (default 0), as a Buffer: grpc-js copies with its methods. */
export function encoder<D extends DescMessage>(
  desc: D,
  room = 0,
): (message: MessageInitShape<D> | EncodedMessage) => Buffer {
  const encode = messageEncoder(desc);
  return (message) => encode(message, room);
}
