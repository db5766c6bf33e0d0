import { basename } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { OptionsSchema } from '../../src/gen/containerd/runc/v1/runc_pb.ts';
import type { Side } from './sides.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What may differ between two daemons that behave alike: directories, times, made-up names. */
const masks: readonly (readonly [RegExp, string])[] = [
  // Where and under which number mounts are made.
  [/<dir>\/state\/(?:mounts|io[.]containerd[.]mount-manager[.]v1[.]bolt\/t)\/\d+/g, '<mounts>'],
  [/locked for [\d.µmsh]+ \(since [^)]*\)/g, 'locked for <time>'],
  [/^\d{6,}-[\w-]{4,}$/g, '<made up>'],
  [/"\w+\/\d+\/([^"]+)"/g, '"$1"'], // containerd's own name of a snapshot
  [/\\u00([0-9a-f]{2})/g, '\\x$1'], // as Go quotes control characters
  [/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, '<time>'],
];

/** What stands for a side's own directory in requests, and for its last name alone. */
const placeholder = '<dir>';
const namePlaceholder = '<name>';

/** A request as one side gets it: with its own directory. */
export function localise(value: unknown, side: Side): unknown {
  if (typeof value === 'string') return localiseText(value, side);
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => localise(item, side));
  if (typeof value !== 'object' || value === null) return value;
  if (isAny(value)) return inAny(value, (text) => localiseText(text, side));
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, localise(field, side)]));
}

const localiseText = (text: string, { dir }: Side): string =>
  text.replaceAll(placeholder, dir).replaceAll(namePlaceholder, basename(dir));

interface Any {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

const isAny = (value: object): value is Any =>
  'typeUrl' in value && 'value' in value && value.value instanceof Uint8Array;

/** The same with other texts inside, where its type may name places: options of the runtime, and JSON. */
function inAny({ typeUrl, value }: Any, changed: (text: string) => string): Any {
  if (typeUrl === OptionsSchema.typeName) {
    const options = fromBinary(OptionsSchema, value);
    return { typeUrl, value: toBinary(OptionsSchema, { ...options, root: changed(options.root) }) };
  }
  if (!typeUrl.startsWith('types.containerd.io/')) return { typeUrl, value };
  return { typeUrl, value: Buffer.from(changed(Buffer.from(value).toString())) };
}

/** A text of an answer, without what may differ. */
export function normaliseText(text: string, { dir }: Side): string {
  const here = text.replaceAll(dir, placeholder).replaceAll(basename(dir), namePlaceholder);
  return masks.reduce((masked, [pattern, mask]) => masked.replaceAll(pattern, mask), here);
}

/** A message as plain JSON, without what may differ. Defaults are left out, bytes are base64. */
export function normalise(value: unknown, side: Side): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return normaliseText(value, side);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return inOrder(value).map((item) => normalise(item, side));
  if (isAny(value)) {
    const { typeUrl, value: bytes } = inAny(value, (text) => normaliseText(text, side));
    return normaliseFields({ typeUrl, value: bytes }, side);
  }
  return normaliseFields(value as Readonly<Record<string, unknown>>, side);
}

/** Fields that hold a side's own numbers and places. */
const own = new Set(['pid', 'mountPoint', 'bundle', 'address']);

function normaliseFields(fields: Readonly<Record<string, unknown>>, side: Side): Json {
  if (fields['@type'] === OptionsSchema.typeName) return normaliseOptions(fields, side);
  const type = fields.$typeName;
  if (type === 'google.protobuf.Timestamp') return fields.seconds === 0n ? 'no time' : '<time>';
  if (type === 'containerd.types.Mount') return normaliseMount(fields, side);
  if (type === 'containerd.types.Metric') return { id: normalise(fields.id, side) };
  const entries = Object.entries(fields).filter(
    ([name, value]) => !name.startsWith('$') && !isDefault(value),
  );
  return Object.fromEntries(
    entries.map(([name, value]) => [name, own.has(name) ? '<own>' : normalise(value, side)]).sort(),
  );
}

/** Options of the runtime as an event shows them: bytes. */
function normaliseOptions({ '@type': type, value }: Readonly<Record<string, unknown>>, side: Side): Json {
  const bytes = Buffer.from(String(value), 'base64');
  return normalise({ typeUrl: type, value: new Uint8Array(bytes) }, side);
}

/** Where layers lie is a daemon's own business: only how many there are is compared. */
function normaliseMount(fields: Readonly<Record<string, unknown>>, side: Side): Json {
  const options = (fields.options as readonly string[])
    .map((option) => option.replaceAll(/\/[^:,]+/g, '<path>'))
    .sort();
  return { type: normalise(fields.type, side), target: normalise(fields.target, side), options };
}

const isDefault = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  value === 0 ||
  value === 0n ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (value instanceof Uint8Array && value.length === 0) ||
  (typeof value === 'object' && value !== null && isEmptyMap(value));

const isEmptyMap = (value: object): boolean => !('$typeName' in value) && Object.keys(value).length === 0;

/** What comes in the order of a directory or a map, and the field that tells its items apart. */
const unordered: Readonly<Record<string, string>> = {
  'containerd.services.content.v1.Status': 'ref',
  'containerd.v1.types.Process': 'id',
  'containerd.types.Metric': 'id',
};

function inOrder(items: readonly unknown[]): readonly unknown[] {
  const name = unordered[String((items[0] as { $typeName?: string } | undefined)?.$typeName)];
  if (name === undefined) return items;
  const keyOf = (item: unknown): string => String((item as Record<string, unknown>)[name]);
  return items.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}
