import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';

/** Largest message either way, containerd's default (16 MiB). */
export const maxMessageBytes = 16 * 1024 * 1024;

/** Bytes ▶ message. `bytes` fields are views of the input, not copies. */
export function decoder<D extends DescMessage>(desc: D): (bytes: Uint8Array) => MessageShape<D> {
  return (bytes) => fromBinary(desc, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Message or init shape ▶ bytes, as a Buffer because grpc-js copies with Buffer's methods. */
export function encoder<D extends DescMessage>(desc: D): (message: MessageInitShape<D>) => Buffer {
  return (message) => {
    const bytes = toBinary(desc, create(desc, message));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}
