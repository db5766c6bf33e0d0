import { invalidArgument } from '../../errors/error.ts';

type Piece = string | { readonly source: string; readonly words: readonly string[] };
/** A compiled template: one line of text for one value. */
export type Template = (value: unknown) => string;

/**
 * The part of Go's templates that people use with docker: `{{.Field.Sub}}`, `{{.}}`, `{{json .X}}`, `{{len .X}}`,
 * `{{upper .X}}`, `{{lower .X}}`, `{{join .X ","}}`, `{{index .Labels "key"}}`, `{{truncate .ID 12}}`; `\t` and `\n`.
 * @throws invalid_argument for anything else
 */
export function compileTemplate(text: string): Template {
  const pieces = split(text.replaceAll('\\t', '\t').replaceAll('\\n', '\n'));
  return (value) =>
    pieces.map((piece) => (typeof piece === 'string' ? piece : evaluate(piece, value))).join('');
}

/** Names of the fields a template shows, for the header of a table. */
export const fieldsOf = (text: string): string[] =>
  split(text).flatMap((piece) =>
    typeof piece === 'string' ? [] : [piece.words.findLast((word) => word.startsWith('.'))?.slice(1) ?? ''],
  );

function split(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(/\{\{-?\s*(.*?)\s*-?\}\}/gs)) {
    pieces.push(text.slice(at, match.index));
    pieces.push({ source: match[0], words: wordsOf(match[1] ?? '', match[0]) });
    at = match.index + match[0].length;
  }
  const rest = text.slice(at);
  if (rest.includes('{{')) throw invalidArgument(`template has an open {{ in ${JSON.stringify(rest)}`);
  return [...pieces, rest];
}

function wordsOf(inner: string, source: string): string[] {
  const words = inner.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? [];
  const [first = ''] = words;
  if (words.length === 0 || (!first.startsWith('.') && !(first in functions))) {
    throw invalidArgument(
      `template ${source} is not understood, want {{.Field}} or {{f .Field}} with f of ${Object.keys(functions).join(', ')}`,
    );
  }
  return [...words];
}

const functions: Readonly<Record<string, (args: readonly unknown[]) => string>> = {
  json: ([value]) => JSON.stringify(value, bigintAsText) ?? 'null',
  len: ([value]) => String(lengthOf(value)),
  upper: ([value]) => show(value).toUpperCase(),
  lower: ([value]) => show(value).toLowerCase(),
  join: ([value, separator]) => (Array.isArray(value) ? value.map(show).join(show(separator)) : show(value)),
  index: ([value, key]) => show(member(value, show(key))),
  truncate: ([value, length]) => show(value).slice(0, Number(length)),
};

function evaluate(piece: Exclude<Piece, string>, value: unknown): string {
  const [first = '.', ...rest] = piece.words;
  if (first.startsWith('.')) return show(look(first, value, piece.source));
  const args = rest.map((word) => (word.startsWith('.') ? look(word, value, piece.source) : literal(word)));
  return functions[first]?.(args) ?? '';
}

function look(path: string, value: unknown, source: string): unknown {
  let at = value;
  for (const name of path.split('.').filter((part) => part !== '')) {
    if (typeof at !== 'object' || at === null || !(name in at)) {
      const known = typeof at === 'object' && at !== null ? Object.keys(at).join(', ') : 'none';
      throw invalidArgument(`template ${source} names the field ${name}; there are: ${known}`);
    }
    at = member(at, name);
  }
  return at;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null
    ? new Map<string, unknown>(Object.entries(value)).get(name)
    : undefined;

const literal = (word: string): unknown => (word.startsWith('"') ? JSON.parse(word) : word);
const bigintAsText = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

function show(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value, bigintAsText) : String(value);
}
