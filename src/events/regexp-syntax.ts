import { invalidArgument } from '../errors/error.ts';
import {
  anyRune,
  newline,
  notNewline,
  one,
  perlClass,
  posixClass,
  type RuneSet,
  rangesOf,
} from './rune-set.ts';

/** A regular expression as a tree; what RE2 has and needs no backtracking. */
export type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'set'; readonly set: RuneSet; readonly fold: boolean }
  | { readonly kind: 'at'; readonly place: Place }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number };

export type Place = 'textStart' | 'textEnd' | 'lineStart' | 'lineEnd' | 'wordEdge' | 'noWordEdge';

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
}

const maxRepeat = 1000;
const maxDepth = 50;

/**
 * Parses RE2 syntax (github.com/google/re2/wiki/Syntax) without \p classes.
 * @throws invalid_argument with the reason, e.g. for back references and look-around, which RE2 does not have either
 */
export function parseRegexp(pattern: string): Node {
  const parser = new Parser(Array.from(pattern));
  return parser.whole();
}

const bad = (why: string) => invalidArgument(`error parsing regexp: ${why}`);

class Parser {
  readonly #runes: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { i: false, m: false, s: false };

  constructor(runes: readonly string[]) {
    this.#runes = runes;
  }

  whole(): Node {
    const node = this.#choice();
    if (this.#at < this.#runes.length) throw bad('unexpected )');
    return node;
  }

  #choice(): Node {
    if (++this.#depth > maxDepth) throw bad('expression nests too deeply');
    const flags = this.#flags;
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#flags = flags;
    this.#depth--;
    return { kind: 'choice', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#runes.length && this.#peek() !== '|' && this.#peek() !== ')')
      parts.push(this.#repeated(this.#atom()));
    return { kind: 'sequence', parts };
  }

  #repeated(of: Node): Node {
    const bounds = this.#bounds();
    if (bounds === undefined) return of;
    this.#take('?'); // lazy or greedy: whether it matches is the same
    if (this.#bounds() !== undefined) throw bad('invalid nested repetition operator');
    return { kind: 'repeat', of, min: bounds[0], max: bounds[1] };
  }

  #bounds(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    return this.#counted();
  }

  #counted(): readonly [number, number] | undefined {
    const match = /^\{(\d{1,5})(,(\d{0,5}))?\}/.exec(this.#runes.slice(this.#at, this.#at + 13).join(''));
    if (match === null) return undefined;
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === '' ? Infinity : Number(match[3]);
    if (min > maxRepeat || (max !== Infinity && max > maxRepeat) || max < min)
      throw bad(`invalid repeat count: ${match[0]}`);
    return [min, max];
  }

  #atom(): Node {
    const rune = this.#next();
    switch (rune) {
      case '(':
        return this.#group();
      case '[':
        return this.#set(this.#class());
      case '.':
        return this.#set(this.#flags.s ? anyRune : notNewline);
      case '^':
        return { kind: 'at', place: this.#flags.m ? 'lineStart' : 'textStart' };
      case '$':
        return { kind: 'at', place: this.#flags.m ? 'lineEnd' : 'textEnd' };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw bad(`missing argument to repetition operator: ${rune}`);
      default:
        return this.#literal(rune);
    }
  }

  #group(): Node {
    const outer = this.#flags;
    if (this.#take('?') && this.#groupHead()) return { kind: 'empty' };
    const node = this.#choice();
    this.#flags = outer;
    if (!this.#take(')')) throw bad('missing closing )');
    return node;
  }

  /** After `(?`: a name, or flags. True when the flags stand alone, `(?i)`, and hold until the group around ends. */
  #groupHead(): boolean {
    const head = /^(?:P?<\w+>|([ims]*)(?:-([ims]+))?([:)]))/.exec(
      this.#runes.slice(this.#at, this.#at + 64).join(''),
    );
    if (head === null) throw bad('invalid or unsupported Perl syntax: (?');
    this.#at += head[0].length;
    for (const flag of head[1] ?? '') this.#flags = { ...this.#flags, [flag]: true };
    for (const flag of head[2] ?? '') this.#flags = { ...this.#flags, [flag]: false };
    return head[3] === ')';
  }

  #escape(): Node {
    const rune = this.#next('trailing backslash at end of expression');
    const place = places[rune];
    if (place !== undefined) return { kind: 'at', place };
    return this.#set(perlClass(rune) ?? this.#escaped(rune));
  }

  /** The one rune that `\rune…` stands for. */
  #escaped(rune: string): RuneSet {
    const control = controls[rune];
    if (control !== undefined) return one(control);
    if (rune === 'x') return one(this.#hex());
    if (/[0-7]/.test(rune)) return one(this.#octal(rune));
    if (/[A-Za-z0-9]/.test(rune)) throw bad(`invalid escape sequence: \\${rune}`);
    return one(codeOf(rune));
  }

  /** `\0`, and `\1` to `\7` only with more digits: alone they are back references, which RE2 has not. */
  #octal(first: string): number {
    const more = /^[0-7]{0,2}/.exec(this.#runes.slice(this.#at, this.#at + 2).join(''))?.[0] ?? '';
    if (first !== '0' && more === '') throw bad(`invalid escape sequence: \\${first}`);
    this.#at += more.length;
    return Number.parseInt(first + more, 8);
  }

  #hex(): number {
    const rest = this.#runes.slice(this.#at, this.#at + 10).join('');
    const match = /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(rest);
    const code = Number.parseInt(match?.[1] ?? match?.[2] ?? '', 16);
    if (match === null || code > 0x10ffff) throw bad('invalid escape sequence: \\x');
    this.#at += match[0].length;
    return code;
  }

  #class(): RuneSet {
    const negated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) ranges.push(...this.#classItem());
    this.#at++;
    return { negated, ranges };
  }

  #classItem(): RuneSet['ranges'] {
    const start = this.#classRune();
    const single = start.ranges.length === 1 && start.ranges[0]?.[0] === start.ranges[0]?.[1];
    if (!single || this.#peek() !== '-' || this.#runes[this.#at + 1] === ']') return rangesOf(start);
    this.#at++;
    const end = this.#classRune();
    const [low, high] = [start.ranges[0]?.[0] ?? 0, end.ranges[0]?.[1] ?? 0];
    if (end.negated || end.ranges.length !== 1 || high < low) throw bad('invalid character class range');
    return [[low, high]];
  }

  #classRune(): RuneSet {
    const rune = this.#next('missing closing ]');
    if (rune === '[' && this.#peek() === ':') return this.#posix();
    if (rune !== '\\') return one(codeOf(rune));
    const escaped = this.#next('missing closing ]');
    return perlClass(escaped) ?? this.#escaped(escaped);
  }

  #posix(): RuneSet {
    const match = /^:(\^?)([a-z]+):\]/.exec(this.#runes.slice(this.#at, this.#at + 16).join(''));
    const set = posixClass(match?.[2] ?? '');
    if (match === null || set === undefined) throw bad('invalid character class range');
    this.#at += match[0].length;
    return { negated: match[1] === '^', ranges: set.ranges };
  }

  #literal(rune: string): Node {
    return this.#set(one(codeOf(rune)));
  }

  #set(set: RuneSet): Node {
    return { kind: 'set', set, fold: this.#flags.i };
  }

  #peek(): string | undefined {
    return this.#runes[this.#at];
  }

  #next(otherwise = 'unexpected end'): string {
    const rune = this.#runes[this.#at++];
    if (rune === undefined) throw bad(otherwise);
    return rune;
  }

  #take(rune: string): boolean {
    if (this.#peek() !== rune) return false;
    this.#at++;
    return true;
  }
}

const places: Readonly<Record<string, Place>> = {
  A: 'textStart',
  z: 'textEnd',
  b: 'wordEdge',
  B: 'noWordEdge',
};

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: newline, r: 13, v: 11 };

const codeOf = (rune: string): number => rune.codePointAt(0) ?? 0;
