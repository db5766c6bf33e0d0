import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { namesInSync } from '../sys/names-in.ts';

/** `max` where the kernel sets no limit, as containerd says it. */
const unlimited = 2n ** 64n - 1n;

/** A file of a cgroup, '' where it does not exist (controller off, older kernel). */
function readText(directory: string, file: string): string {
  try {
    return readFileSync(join(directory, file), 'utf8').trim();
  } catch {
    return '';
  }
}

/** A file that holds one number or `max`; 0 where it does not exist. */
export function readNumber(directory: string, file: string, max = unlimited): bigint {
  const text = readText(directory, file);
  return text === 'max' ? max : numberOf(text);
}

/** A file of lines `name value`. */
export function readFlat(directory: string, file: string): ReadonlyMap<string, bigint> {
  const lines = readLines(directory, file).map((line) => line.split(' '));
  return new Map(lines.map(([name = '', value = '']) => [name, numberOf(value)]));
}

export const readLines = (directory: string, file: string): string[] =>
  readText(directory, file).split('\n').filter(Boolean);

/** What the pattern captures of each file's name in a cgroup. */
export function namesIn(directory: string, pattern: RegExp): string[] {
  const names = directory === '' ? [] : namesInSync(directory);
  return names.flatMap((name) => pattern.exec(name)?.[1] ?? []).sort();
}

export const numberOf = (text: string): bigint => (/^\d+$/.test(text) ? BigInt(text) : 0n);

/** A message whose fields are named as the kernel names the values, underscores aside. */
export function pickFields<S extends DescMessage>(
  schema: S,
  values: ReadonlyMap<string, bigint>,
): MessageShape<S> {
  const plain = new Map([...values].map(([name, value]) => [name.replaceAll('_', ''), value]));
  const found = schema.fields
    .map((field) => [field.localName, plain.get(field.name.replaceAll('_', ''))] as const)
    .filter(([, value]) => value !== undefined);
  return create(schema, Object.fromEntries(found) as MessageInitShape<S>);
}
