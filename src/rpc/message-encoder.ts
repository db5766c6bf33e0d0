import { type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { EncodedMessage } from './encoded-message.ts';
import { ReverseWriter } from './reverse-writer.ts';

/** Writes a value, or a whole message's fields, in front of what was written before. */
type Write = (to: ReverseWriter, value: unknown) => void;
type Fields = Readonly<Record<string, unknown>>;

/**
 * How a proto3 message of one type is written, straight from a message or from the plain object that stands for one, so that
 * a list of thousands costs neither thousands of messages nor a copy of all bytes at each depth of nesting. What is written
 * is byte for byte what protobuf-es writes, unknown fields of messages at their end included. What is encoded already is copied.
 * The result is bytes behind `room` bytes left to the caller. @throws Error for a value that its field cannot hold
 */
export function messageEncoder(desc: DescMessage): (message: unknown, room: number) => Buffer {
  let write: Write | undefined;
  return (message, room) => {
    if (message instanceof EncodedMessage) return message.behind(room);
    write ??= writerOf(desc);
    const to = new ReverseWriter();
    write(to, message);
    return to.finish(room);
  };
}

const writers = new WeakMap<DescMessage, Write>();

function writerOf(desc: DescMessage): Write {
  const known = writers.get(desc);
  if (known !== undefined) return known;
  const fields: Write[] = [];
  const write: Write = (to, message) => {
    writeUnknown(to, message as Partial<Message>);
    for (const field of fields) field(to, message);
  };
  // Known before its fields are: a message may hold itself.
  writers.set(desc, write);
  const backwards = [...desc.fields].sort((a, b) => b.number - a.number);
  fields.push(...backwards.map((field) => read(field, fieldWriter(field))));
  return write;
}

function writeUnknown(to: ReverseWriter, { $unknown = [] }: Partial<Message>): void {
  for (const { no, wireType, data } of $unknown.toReversed()) {
    to.bytes(data);
    writeTag(to, no, wireType);
  }
}

/** Reads the field out of its message. */
function read({ localName, oneof }: DescField, write: Write): Write {
  const get: (message: Fields) => unknown =
    oneof === undefined
      ? (message) => message[localName]
      : (message) => {
          const chosen = message[oneof.localName] as { case?: string; value?: unknown } | undefined;
          return chosen?.case === localName ? chosen.value : undefined;
        };
  return (to, message) => {
    const value = get(message as Fields);
    if (value !== undefined && value !== null) write(to, value);
  };
}

function fieldWriter(field: DescField): Write {
  if (field.fieldKind === 'map') return mapWriter(field);
  if (field.fieldKind === 'list') return listWriter(field);
  const write = tagged(field.number, valueWriter(field));
  if (field.fieldKind === 'message' || field.oneof !== undefined || field.proto.proto3Optional) return write;
  return (to, value) => {
    if (!isZero(value)) write(to, value);
  };
}

/** What a field without presence does not send. -0 is not 0. */
const isZero = (value: unknown): boolean =>
  value === '' ||
  value === false ||
  value === 0n ||
  Object.is(value, 0) ||
  (value instanceof Uint8Array && value.length === 0);

function listWriter(field: DescField & { fieldKind: 'list' }): Write {
  const value = valueWriter(field);
  if (field.packed) {
    const all = delimited((to, values) => {
      for (const item of (values as unknown[]).toReversed()) value.write(to, item);
    });
    const write = tagged(field.number, { write: all, wireType: WireType.LengthDelimited });
    return (to, values) => {
      if ((values as unknown[]).length > 0) write(to, values);
    };
  }
  const write = tagged(field.number, value);
  return (to, values) => {
    const items = values as readonly unknown[];
    for (let at = items.length - 1; at >= 0; at--) write(to, items[at]);
  };
}

/** An entry is a message of two fields, both always sent. */
function mapWriter(field: DescField & { fieldKind: 'map' }): Write {
  const key = tagged(1, named(field, scalarWriter(field.mapKey)));
  const keyOf = mapKeys[field.mapKey] ?? ((name) => name);
  const value = tagged(2, valueWriter(field));
  const entry = delimited((to, pair) => {
    const [name, held] = pair as readonly [string, unknown];
    value(to, held);
    key(to, keyOf(name));
  });
  const write = tagged(field.number, { write: entry, wireType: WireType.LengthDelimited });
  return (to, map) => {
    for (const pair of Object.entries(map as Fields).reverse()) write(to, pair);
  };
}

/** Keys of a map are texts; what they stand for, where that is not a text. */
const mapKeys: { readonly [type in ScalarType]?: (key: string) => unknown } = {
  [ScalarType.INT32]: Number,
  [ScalarType.UINT32]: Number,
  [ScalarType.INT64]: BigInt,
  [ScalarType.UINT64]: BigInt,
  [ScalarType.BOOL]: (key) => key === 'true',
};

/** A value without its tag. */
interface ValueWriter {
  readonly write: Write;
  readonly wireType: WireType;
}

function valueWriter(field: DescField): ValueWriter {
  const { message, scalar } = field;
  if (message === undefined) return named(field, scalarWriter(scalar ?? ScalarType.INT32));
  return { write: delimited(writerOf(message)), wireType: WireType.LengthDelimited };
}

/** An error names the field. */
function named({ parent, name }: DescField, { write, wireType }: ValueWriter): ValueWriter {
  const guarded: Write = (to, value) => {
    try {
      write(to, value);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`cannot encode field ${parent.typeName}.${name} to binary: ${what}`, { cause: error });
    }
  };
  return { write: guarded, wireType };
}

function scalarWriter(type: ScalarType): ValueWriter {
  const method = methods[type];
  if (type === ScalarType.STRING) return { write: writeText, wireType: WireType.LengthDelimited };
  if (type === ScalarType.BYTES) return { write: writeBytes, wireType: WireType.LengthDelimited };
  const library: Write = (to, value) => to.bytes(new BinaryWriter()[method](value as never).finish());
  const wireType = wireTypes[type] ?? WireType.Varint;
  if (!plainVarints.has(type)) return { write: library, wireType };
  const write: Write = (to, value) => {
    if (isPlain(value)) to.varint(Number(value));
    else library(to, value);
  };
  return { write, wireType };
}

/** Types whose small values that are not negative stand on the wire as they are; the rest the library checks and writes. */
const plainVarints = new Set([ScalarType.INT32, ScalarType.UINT32, ScalarType.INT64, ScalarType.UINT64]);
const maxPlain = 2 ** 31 - 1;
const isPlain = (value: unknown): boolean =>
  typeof value === 'number'
    ? Number.isInteger(value) && value >= 0 && value <= maxPlain
    : typeof value === 'bigint' && value >= 0n && value <= maxPlain;

const methods = {
  [ScalarType.DOUBLE]: 'double',
  [ScalarType.FLOAT]: 'float',
  [ScalarType.INT64]: 'int64',
  [ScalarType.UINT64]: 'uint64',
  [ScalarType.INT32]: 'int32',
  [ScalarType.FIXED64]: 'fixed64',
  [ScalarType.FIXED32]: 'fixed32',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.UINT32]: 'uint32',
  [ScalarType.SFIXED32]: 'sfixed32',
  [ScalarType.SFIXED64]: 'sfixed64',
  [ScalarType.SINT32]: 'sint32',
  [ScalarType.SINT64]: 'sint64',
} as const satisfies Record<ScalarType, keyof BinaryWriter>;

/** Those that are no varint. */
const wireTypes: { readonly [type in ScalarType]?: WireType } = {
  [ScalarType.DOUBLE]: WireType.Bit64,
  [ScalarType.FIXED64]: WireType.Bit64,
  [ScalarType.SFIXED64]: WireType.Bit64,
  [ScalarType.FLOAT]: WireType.Bit32,
  [ScalarType.FIXED32]: WireType.Bit32,
  [ScalarType.SFIXED32]: WireType.Bit32,
};

const writeText = delimited((to, value) => {
  if (typeof value !== 'string') throw new Error(`invalid string: ${typeof value}`);
  to.text(value);
});

const writeBytes = delimited((to, value) => {
  if (!(value instanceof Uint8Array)) throw new Error(`invalid bytes: ${typeof value}`);
  to.bytes(value);
});

/** Puts the length in front. */
function delimited(write: Write): Write {
  return (to, value) => {
    const before = to.length;
    write(to, value);
    to.varint(to.length - before);
  };
}

function tagged(number: number, { write, wireType }: ValueWriter): Write {
  const tag = tagOf(number, wireType);
  return (to, value) => {
    write(to, value);
    to.varint(tag);
  };
}

const tagOf = (number: number, wireType: WireType): number => number * 8 + wireType;
const writeTag = (to: ReverseWriter, number: number, wireType: WireType): void =>
  to.varint(tagOf(number, wireType));
