import { isTable } from './values.ts';

/** One key that a file sets, tables opened up; an empty table is a value. */
export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  /** As it stands in the file, dotted. */
  readonly name: string;
  /** `file:line`. */
  readonly at: string;
}

/** Every key of a table, in the order of the file. */
export function* leavesOf(
  table: object,
  prefix: readonly string[] = [],
): Generator<readonly [path: readonly string[], value: unknown]> {
  for (const [name, value] of Object.entries(table)) {
    const path = [...prefix, name];
    if (isTable(value) && Object.keys(value).length > 0) yield* leavesOf(value, path);
    else yield [path, value];
  }
}

type Tree = { [name: string]: unknown };

/** The table that holds `settings`; a later one replaces what stands in its way. Names like `__proto__` are names. */
export function treeOf(settings: Iterable<Pick<Setting, 'path' | 'value'>>): Tree {
  const root = newTree();
  for (const { path, value } of settings) {
    const table = path.slice(0, -1).reduce(child, root);
    const name = path.at(-1) ?? '';
    if (isEmptyTable(value)) child(table, name);
    else table[name] = value;
  }
  return root;
}

const newTree = (): Tree => Object.create(null) as Tree;

function child(table: Tree, name: string): Tree {
  const found = table[name];
  if (isTable(found)) return found as Tree;
  const made = newTree();
  table[name] = made;
  return made;
}

/** What is at `path` in a table, undefined where nothing is. */
export function valueAt(table: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, name) => (isTable(at) && Object.hasOwn(at, name) ? at[name] : undefined),
    table,
  );
}

/** A value that says nothing: '', 0, false, or empty. */
export const isZero = (value: unknown): boolean =>
  value === '' ||
  value === 0 ||
  value === 0n ||
  value === false ||
  value === '0s' ||
  (Array.isArray(value) && value.length === 0) ||
  isEmptyTable(value);

const isEmptyTable = (value: unknown): boolean => isTable(value) && Object.keys(value).length === 0;
