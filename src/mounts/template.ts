import { unknown } from '../errors/error.ts';
import type { ActiveMount } from './activations.ts';

/**
 * Fills in what stands between `{{` and `}}`, in the manner of Go's text/template as far as mounts need it: a function
 * of earlier mounts with whole numbers (`{{ mount 0 }}`, `{{ overlay 0 2 }}`), text in quotes, comments, and `{{-` `-}}`
 * that take blanks away. Variables, pipelines and control structures are refused (docs/decisions/0017).
 * @throws unknown, in the words of Go's package
 */
export function fillIn(text: string, active: readonly ActiveMount[]): string {
  let filled = '';
  let rest = 0;
  for (let open = text.indexOf('{{'); open >= 0; open = text.indexOf('{{', rest)) {
    const close = text.indexOf('}}', open);
    if (close < 0) throw fault(text, open, 'unclosed action');
    const before = text.slice(rest, open);
    const inner = text.slice(open + 2, close);
    filled += /^-\s/.test(inner) ? before.trimEnd() : before;
    filled += evaluate(inner.replace(/^-(?=\s)|(?<=\s)-$/g, ' '), { text, at: open + 2, active });
    rest = close + 2;
    if (/\s-$/.test(inner)) rest += /^\s*/.exec(text.slice(rest))?.[0].length ?? 0;
  }
  return filled + text.slice(rest);
}

/** An action: the whole text, where the action begins in it, and what it may speak of. */
interface Action {
  readonly text: string;
  readonly at: number;
  readonly active: readonly ActiveMount[];
}

interface Word {
  readonly word: string;
  readonly at: number;
}

type Call = (mounts: readonly ActiveMount[], ...args: number[]) => string;

const functions: Readonly<Record<string, { readonly args: number; readonly call: Call }>> = {
  source: { args: 1, call: (mounts, i = 0) => mountAt(mounts, i).source },
  target: { args: 1, call: (mounts, i = 0) => mountAt(mounts, i).target ?? '' },
  mount: { args: 1, call: (mounts, i = 0) => mountAt(mounts, i).mountPoint },
  overlay: { args: 2, call: (mounts, start = 0, end = 0) => mountPoints(mounts, start, end).join(':') },
};

function evaluate(inner: string, action: Action): string {
  if (/^\s*\/\*.*\*\/\s*$/s.test(inner)) return '';
  const [first, ...args] = wordsOf(inner, action);
  if (first === undefined) throw fault(action.text, action.at, 'missing value for command');
  if (args.length === 0 && /^["`]/.test(first.word)) return unquoted(first.word);
  const found = Object.hasOwn(functions, first.word) ? functions[first.word] : undefined;
  if (found === undefined) throw unknownWord(first, action);
  return called(first, args, found, action);
}

function wordsOf(inner: string, { at }: Action): Word[] {
  const pattern = /"(?:[^"\\]|\\.)*"|`[^`]*`|[^\s"`]+/g;
  return [...inner.matchAll(pattern)].map((match) => ({ word: match[0], at: at + match.index }));
}

function unquoted(word: string): string {
  if (word.startsWith('`')) return word.slice(1, -1);
  try {
    return JSON.parse(word) as string;
  } catch (error) {
    throw unknown(`template: :1: malformed text ${word}`, error);
  }
}

function called(
  { word: name, at }: Word,
  args: readonly Word[],
  { args: wanted, call }: { readonly args: number; readonly call: Call },
  { text, active }: Action,
): string {
  const place = `template: :${placeOf(text, at)}: executing "" at`;
  if (args.length !== wanted)
    throw unknown(`${place} <${name}>: wrong number of args for ${name}: want ${wanted} got ${args.length}`);
  const numbers = args.map((arg) => numberOf(arg, text));
  try {
    return call(active, ...numbers);
  } catch (error) {
    const words = [name, ...args.map(({ word }) => word)].join(' ');
    throw unknown(
      `${place} <${words}>: error calling ${name}: ${error instanceof Error ? error.message : ''}`,
      error,
    );
  }
}

function numberOf({ word, at }: Word, text: string): number {
  const sign = word.startsWith('-') ? -1 : 1;
  const digits = word.replace(/^[-+]/, '');
  if (!/^(?:\d+|0x[0-9a-f]+)$/i.test(digits))
    throw unknown(
      `template: :${placeOf(text, at)}: executing "" at <${word}>: expected integer; found ${word}`,
    );
  const value = sign * Number(digits);
  if (!Number.isSafeInteger(value)) throw fault(text, at, `integer overflow: ${JSON.stringify(word)}`);
  return value;
}

function mountAt(mounts: readonly ActiveMount[], index: number): ActiveMount {
  const found = mounts[index];
  if (found !== undefined) return found;
  throw new RangeError(`index out of bounds: ${index}, has ${mounts.length} active mounts`);
}

/** From `start` to `end`, both included, in whichever order. */
function mountPoints(mounts: readonly ActiveMount[], start: number, end: number): string[] {
  const [low, high] = start > end ? [end, start] : [start, end];
  if (low < 0 || high >= mounts.length)
    throw new RangeError(`invalid range: ${start}-${end}, has ${mounts.length} active mounts`);
  const points = mounts.slice(low, high + 1).map(({ mountPoint }) => mountPoint);
  return start > end ? points.reverse() : points;
}

function unknownWord({ word, at }: Word, { text }: Action): Error {
  return /^[A-Za-z_]\w*$/.test(word)
    ? fault(text, at, `function ${JSON.stringify(word)} not defined`)
    : fault(text, at, `unexpected ${JSON.stringify(word)} in command`);
}

const fault = (text: string, at: number, words: string): Error =>
  unknown(`template: :${placeOf(text, at).split(':')[0]}: ${words}`);

/** `line:column`, lines from 1, columns in bytes from 0, as Go counts them. */
function placeOf(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n');
  return `${lines.length}:${Buffer.byteLength(lines.at(-1) ?? '')}`;
}
