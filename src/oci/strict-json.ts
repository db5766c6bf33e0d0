import { invalidArgument, messageOf } from '../errors/error.ts';

/** Any JSON value. Objects have own properties only, also for keys such as `__proto__`. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const maxDepth = 64;

/**
 * Parses one JSON document with one meaning: well-formed UTF-8, no duplicate keys, nothing after it, at most 64 levels.
 * Two parsers that disagree on a document are how one digest gets two meanings (CVE-2021-41190).
 * @param limitBytes longer input is refused before it is looked at
 * @throws invalid_argument `<what>: …`
 */
export function parseStrictJson(bytes: Uint8Array, limitBytes: number, what: string): Json {
  if (bytes.byteLength > limitBytes) throw invalidArgument(`${what}: larger than ${limitBytes} bytes`);
  const text = decode(bytes, what);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw invalidArgument(`${what}: not JSON: ${messageOf(error).slice(0, 100)}`);
  }
  refuseDuplicates(text, what);
  return value;
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalidArgument(`${what}: not UTF-8`);
  }
}

/** Walks the strings and brackets of a text that JSON.parse has accepted; a string before a colon is a key. */
function refuseDuplicates(text: string, what: string): void {
  const mark = /["{}[\]]/g;
  const open: (Set<string> | undefined)[] = [];
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    const [lexeme] = match;
    if (lexeme === '{' || lexeme === '[') open.push(lexeme === '{' ? new Set() : undefined);
    else if (lexeme !== '"') open.pop();
    else mark.lastIndex = readString(text, match.index, open.at(-1), what);
    if (open.length > maxDepth) throw invalidArgument(`${what}: nested deeper than ${maxDepth} levels`);
  }
}

/** Index after the string that starts at `start`; notes it when it is a key. */
function readString(text: string, start: number, keys: Set<string> | undefined, what: string): number {
  let end = text.indexOf('"', start + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  colon.lastIndex = end + 1;
  if (keys !== undefined && colon.test(text)) addKey(keys, text.slice(start, end + 1), what);
  return end + 1;
}

const colon = /[ \t\r\n]*:/y;

function isEscaped(text: string, quote: number): boolean {
  let first = quote;
  while (text[first - 1] === '\\') first--;
  return (quote - first) % 2 === 1;
}

function addKey(keys: Set<string>, lexeme: string, what: string): void {
  const key = JSON.parse(lexeme) as string;
  if (keys.has(key)) throw invalidArgument(`${what}: duplicate key ${JSON.stringify(key.slice(0, 100))}`);
  keys.add(key);
}
