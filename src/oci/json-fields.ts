import { invalidArgument } from '../errors/error.ts';
import type { Json } from './strict-json.ts';

/** A JSON object whose fields are read by name; own properties only. */
export type JsonObject = { readonly [key: string]: Json };

/** Reads typed fields of untrusted JSON; each throws invalid_argument naming the path. Null counts as absent. */
export function objectAt(value: Json | undefined, path: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw wrong(path, 'an object', value);
}

/** An array of at most `max` entries. */
export function arrayAt(value: Json | undefined, path: string, max: number): readonly Json[] {
  if (!Array.isArray(value)) throw wrong(path, 'an array', value);
  if (value.length > max) throw invalidArgument(`${path}: more than ${max} entries`);
  return value;
}

export function stringAt(value: Json | undefined, path: string): string {
  if (typeof value === 'string') return value;
  throw wrong(path, 'a string', value);
}

export function booleanAt(value: Json | undefined, path: string): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong(path, 'a boolean', value);
}

/** A whole number from 0 to 2^53-1. */
export function sizeAt(value: Json | undefined, path: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(path, 'a whole number from 0 to 2^53-1', value);
}

export const stringsAt = (value: Json | undefined, path: string, max: number): string[] =>
  arrayAt(value, path, max).map((entry, i) => stringAt(entry, `${path}[${i}]`));

/** An object of strings; keys such as `__proto__` are kept as own properties. */
export function stringMapAt(value: Json | undefined, path: string): Record<string, string> {
  const entries = Object.entries(objectAt(value, path));
  return Object.fromEntries(
    entries.map(([key, entry]) => [key, stringAt(entry, `${path}.${key.slice(0, 100)}`)]),
  );
}

/** The own field `name`; null and absent are both undefined. */
export const fieldOf = (object: JsonObject, name: string): Json | undefined =>
  Object.hasOwn(object, name) ? (object[name] ?? undefined) : undefined;

/** `{[as]: read(field)}` when the field is there, else `{}`: for spreading into a value with optional properties. */
export function optional<K extends string, V>(
  object: JsonObject,
  name: string,
  as: K,
  read: (value: Json, path: string) => V,
  path: string,
): { [P in K]?: V } {
  const value = fieldOf(object, name);
  return value === undefined ? {} : ({ [as]: read(value, `${path}.${name}`) } as { [P in K]?: V });
}

const wrong = (path: string, want: string, got: Json | undefined) =>
  invalidArgument(`${path}: want ${want}, got ${JSON.stringify(got)?.slice(0, 60) ?? 'nothing'}`);
