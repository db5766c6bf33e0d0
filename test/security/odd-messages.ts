import { create, type DescField, type DescMessage, type DescMethod, ScalarType } from '@bufbuild/protobuf';

/** How the fields of a message are filled; messages nest four deep. */
export interface Filling {
  readonly text: string;
  /** Text of fields with these names instead, to get past the first check. */
  readonly known?: Readonly<Record<string, string>>;
  readonly number: bigint;
  readonly bytes: Uint8Array;
  /** Whether nested messages are there. */
  readonly nested: boolean;
}

const deepest = 4;
const unknownEnumValue = 77;

/** A message of any type with every field filled alike. */
export function filled(desc: DescMessage, filling: Filling, depth = 0): unknown {
  const init: Record<string, unknown> = {};
  for (const field of desc.fields) {
    const value = fieldValue(field, filling, depth);
    if (value === undefined) continue;
    if (field.oneof === undefined) init[field.localName] = value;
    else init[field.oneof.localName] = { case: field.localName, value };
  }
  return create(desc, init);
}

function fieldValue(field: DescField, common: Filling, depth: number): unknown {
  const filling = { ...common, text: common.known?.[field.localName] ?? common.text };
  if (field.fieldKind === 'list') return listOf(field, filling, depth);
  if (field.fieldKind === 'map') return mapOf(field, filling, depth);
  if (field.fieldKind === 'message') return messageOf(field.message, filling, depth);
  if (field.fieldKind === 'enum') return Number(BigInt.asIntN(31, filling.number));
  return scalarOf(field.scalar, filling);
}

function listOf(field: DescField & { fieldKind: 'list' }, filling: Filling, depth: number): unknown[] {
  const value = elementOf(field.listKind === 'message' ? field.message : field.scalar, filling, depth);
  return value === undefined ? [] : [value, value];
}

function mapOf(field: DescField & { fieldKind: 'map' }, filling: Filling, depth: number): unknown {
  const value = elementOf(field.mapKind === 'message' ? field.message : field.scalar, filling, depth);
  if (value === undefined || field.mapKey !== ScalarType.STRING) return {};
  return Object.fromEntries(['__proto__', 'constructor', filling.text].map((key) => [key, value]));
}

function elementOf(type: DescMessage | ScalarType | undefined, filling: Filling, depth: number): unknown {
  if (type === undefined) return unknownEnumValue;
  return typeof type === 'object' ? messageOf(type, filling, depth) : scalarOf(type, filling);
}

const messageOf = (desc: DescMessage, filling: Filling, depth: number): unknown =>
  filling.nested && depth < deepest ? filled(desc, filling, depth + 1) : undefined;

function scalarOf(scalar: ScalarType, { text, number, bytes }: Filling): unknown {
  switch (scalar) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return bytes;
    case ScalarType.BOOL:
      return number % 2n !== 0n;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return BigInt.asIntN(64, number);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return BigInt.asUintN(64, number);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return Number(BigInt.asUintN(32, number));
    default:
      return Number(BigInt.asIntN(32, number));
  }
}

type Call = (input: unknown, options: object) => unknown;

/** Makes one call of any shape with one message, reads at most a hundred answers; resolves to 'ok' or throws its error. */
export async function callOnce(
  method: DescMethod,
  call: Call,
  message: unknown,
  options: object,
): Promise<'ok'> {
  const sends = method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
  const result = call(sends ? one(message) : message, options);
  if (method.methodKind === 'unary' || method.methodKind === 'client_streaming') await result;
  else {
    let left = 100;
    for await (const _ of result as AsyncIterable<unknown>) if (--left === 0) break;
  }
  return 'ok';
}

async function* one(message: unknown): AsyncGenerator<unknown> {
  yield message;
}
