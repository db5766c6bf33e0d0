import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Largest message either way, containerd's default (16 MiB). */
export const maxMessageBytes = 16 * 1024 * 1024;

/** From this size on, a `bytes` field is copied once instead of three times. */
const bulkBytes = 16 * 1024;

/** Bytes ▶ message. `bytes` fields are views of the input, not copies. */
export function decoder<D extends DescMessage>(desc: D): (bytes: Uint8Array) => MessageShape<D> {
  return (bytes) => fromBinary(desc, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Message or init shape ▶ bytes, as a Buffer because grpc-js copies with Buffer's methods. */
export function encoder<D extends DescMessage>(desc: D): (message: MessageInitShape<D>) => Buffer {
  const bulk = desc.fields.find(isBytes);
  return (init) => {
    const data = bulk === undefined ? undefined : bulkOf(init, bulk);
    if (bulk === undefined || data === undefined) return asBuffer(toBinary(desc, create(desc, init)));
    const rest = create(desc, { ...init, [bulk.localName]: nothing } as MessageInitShape<D>);
    return Buffer.concat([toBinary(desc, rest), fieldHead(bulk, data.length), data]);
  };
}

const nothing = new Uint8Array(0);

const isBytes = (field: DescField): boolean =>
  field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES && field.oneof === undefined;

function bulkOf(init: object, field: DescField): Uint8Array | undefined {
  const value = (init as Readonly<Record<string, unknown>>)[field.localName];
  return value instanceof Uint8Array && value.length >= bulkBytes ? value : undefined;
}

/** Tag and length: fields may stand in any order (protobuf encoding), so a large one can be put behind the others. */
const fieldHead = (field: DescField, length: number): Uint8Array =>
  new BinaryWriter().tag(field.number, WireType.LengthDelimited).uint32(length).finish();

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
