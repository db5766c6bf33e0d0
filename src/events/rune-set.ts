/** A set of Unicode code points: those in `ranges` (inclusive), or all others when `negated`. */
export interface RuneSet {
  readonly negated: boolean;
  readonly ranges: readonly (readonly [number, number])[];
}

export const newline = 10;

const set = (...ranges: [number, number][]): RuneSet => ({ negated: false, ranges });
const span = (text: string): [number, number] => [text.charCodeAt(0), text.charCodeAt(1)];

const digits = set(span('09'));
export const words = set(span('09'), span('AZ'), span('__'), span('az'));
/** RE2's \s: tab, newline, form feed, carriage return, space. */
const spaces = set([9, 10], [12, 13], [32, 32]);
export const anyRune: RuneSet = { negated: true, ranges: [] };
export const notNewline: RuneSet = { negated: true, ranges: [[newline, newline]] };

const posix: Readonly<Record<string, RuneSet>> = {
  alnum: set(span('09'), span('AZ'), span('az')),
  alpha: set(span('AZ'), span('az')),
  ascii: set([0, 127]),
  blank: set([9, 9], [32, 32]),
  cntrl: set([0, 31], [127, 127]),
  digit: digits,
  graph: set(span('!~')),
  lower: set(span('az')),
  print: set(span(' ~')),
  punct: set(span('!/'), span(':@'), span('[`'), span('{~')),
  space: set([9, 13], [32, 32]),
  upper: set(span('AZ')),
  word: words,
  xdigit: set(span('09'), span('AF'), span('af')),
};

/** A set of one code point. */
export const one = (code: number): RuneSet => ({ negated: false, ranges: [[code, code]] });

/** The class that `\rune` stands for, `\d` or `\W`; undefined where it is none. */
export function perlClass(rune: string): RuneSet | undefined {
  const found = { d: digits, s: spaces, w: words }[rune.toLowerCase()];
  if (found === undefined) return undefined;
  return rune === rune.toLowerCase() ? found : { ...found, negated: true };
}

/** The class called `[:name:]`, ASCII only as in RE2. */
export const posixClass = (name: string): RuneSet | undefined =>
  Object.hasOwn(posix, name) ? posix[name] : undefined;

export function contains({ negated, ranges }: RuneSet, rune: number): boolean {
  for (const [low, high] of ranges) if (rune >= low && rune <= high) return !negated;
  return negated;
}

/** The same without regard to case. A negated set excludes every case of what it names. */
export function containsFolded(runes: RuneSet, rune: number): boolean {
  const positive = { negated: false, ranges: runes.ranges };
  const text = String.fromCodePoint(rune);
  const found = [text, text.toLowerCase(), text.toUpperCase()].some((form) =>
    contains(positive, form.codePointAt(0) ?? 0),
  );
  return found !== runes.negated;
}

/** The ranges of a set, turned inside out where it is negated. */
export function rangesOf(set: RuneSet): RuneSet['ranges'] {
  if (!set.negated) return set.ranges;
  const out: (readonly [number, number])[] = [];
  let next = 0;
  for (const [low, high] of set.ranges.toSorted((a, b) => a[0] - b[0])) {
    if (low > next) out.push([next, low - 1]);
    next = Math.max(next, high + 1);
  }
  return [...out, [next, 0x10ffff]];
}
