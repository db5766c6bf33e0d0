import type { DescField, DescMessage } from '@bufbuild/protobuf';
import type { Random } from '../chaos/random.ts';

const max64 = 2n ** 63n - 1n;

const texts = [
  '',
  ' ',
  'nothing-of-this-name',
  'x'.repeat(76),
  'x'.repeat(77),
  'x'.repeat(5000),
  '../../etc',
  'a/b',
  'A B',
  '-a',
  'a..b',
  'ü',
  'a\0b',
  'sha256:00',
  `sha256:${'e'.repeat(64)}`,
  `sha256:${'E'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
];
const anys = [
  {},
  { typeUrl: 'nothing/known', value: Uint8Array.of(1, 2, 3) },
  { typeUrl: 'google.protobuf.Empty', value: Uint8Array.of(255, 255) },
  { typeUrl: '', value: Uint8Array.of(1) },
];

type Fields = Record<string, unknown>;

/** A copy of the request with one of its fields, at any depth, absent, empty, too long, out of range or of the wrong type. */
export function mutate(desc: DescMessage, request: object, random: Random): object {
  const copy: Fields = { ...request };
  if (desc.fields.length === 0) return copy;
  const field = random.pick(desc.fields);
  const name = field.localName;
  const deeper = descends(field, copy[name]);
  copy[name] = deeper && random.next() < 0.7 ? deeper(random) : badValue(field, random);
  if (copy[name] === undefined) delete copy[name];
  return copy;
}

/** How to mutate inside a message that is there. */
function descends(field: DescField, value: unknown): ((random: Random) => unknown) | undefined {
  if (field.fieldKind !== 'message' || typeof value !== 'object' || value === null) return undefined;
  if (field.message.typeName === 'google.protobuf.Any') return undefined;
  return (random) => mutate(field.message, value, random);
}

function badValue(field: DescField, random: Random): unknown {
  if (random.next() < 0.2) return undefined;
  if (field.fieldKind === 'list') return listOf(field, random);
  if (field.fieldKind === 'map') return { [random.pick(texts)]: mapValue(field, random) };
  if (field.fieldKind === 'enum') return random.pick([0, 1, 2, 99]);
  if (field.fieldKind === 'message') return message(field.message, random);
  return scalar(String(field.scalar), random);
}

const mapValue = (field: DescField & { fieldKind: 'map' }, random: Random): unknown =>
  field.mapKind === 'message' ? message(field.message, random) : random.pick(texts);

function listOf(field: DescField & { fieldKind: 'list' }, random: Random): unknown {
  if (field.listKind === 'message') return [message(field.message, random)];
  return field.listKind === 'scalar' && field.scalar === 9 ? [random.pick(texts)] : [];
}

function message(desc: DescMessage, random: Random): unknown {
  if (desc.typeName === 'google.protobuf.Any') return random.pick(anys);
  if (desc.typeName === 'google.protobuf.FieldMask') return { paths: [random.pick(texts)] };
  return {};
}

/** By number of descriptor.proto's types: 3 int64, 4 uint64, 5 int32, 8 bool, 9 string, 12 bytes, 13 uint32. */
function scalar(type: string, random: Random): unknown {
  const byType: Readonly<Record<string, readonly unknown[]>> = {
    3: [0n, -1n, 1n, max64, -max64],
    4: [0n, 1n, max64],
    5: [0, -1, 2 ** 31 - 1],
    8: [true, false],
    12: [new Uint8Array(), new Uint8Array(100)],
    13: [0, 1, 2 ** 32 - 1],
  };
  return random.pick(byType[type] ?? texts);
}
