import { invalidArgument, resourceExhausted } from '../errors/error.ts';
import { type Node, type Place, parseRegexp } from './regexp-syntax.ts';
import { contains, containsFolded, newline, type RuneSet, words } from './rune-set.ts';

/** One instruction: read a rune of a set, pass at a place, try both ways, or accept. `next` is what follows. */
type Step =
  | { readonly op: 'read'; readonly set: RuneSet; readonly fold: boolean; readonly next: number }
  | { readonly op: 'at'; readonly place: Place; readonly next: number }
  | { readonly op: 'split'; next: number; other: number }
  | { readonly op: 'accept' };

const maxPattern = 1024;
const maxSteps = 2000;
/** Steps taken for one text, some milliseconds: enough for 40 steps of pattern on 4 KiB, the longest label. */
const maxWork = 250_000;

/**
 * Compiles a regular expression from outside into a test "does it match anywhere in this text?". It runs all
 * alternatives side by side (Thompson), so its time is bounded by pattern length × text length whatever the pattern: JavaScript's
 * own engine backtracks, and one filter such as `(a+)+$` could stop the daemon. Syntax and meaning are RE2's, as in containerd.
 * The test throws resource_exhausted when pattern and text are so large that it takes more than 250,000 steps.
 * @throws invalid_argument: bad syntax, longer than 1024 characters, or more than 2000 steps once repeats are unrolled
 */
export function compileRegexp(pattern: string): (text: string) => boolean {
  if (pattern.length > maxPattern) throw invalidArgument(`regexp is longer than ${maxPattern} characters`);
  const steps: Step[] = [{ op: 'accept' }];
  const start = emit(steps, parseRegexp(pattern), 0);
  return (text) => run(steps, start, text);
}

function push(steps: Step[], step: Step): number {
  if (steps.length >= maxSteps) throw invalidArgument('regexp is too large');
  return steps.push(step) - 1;
}

/** Adds the steps of `node` that lead to `next`, from the end to the start; returns where they begin. */
function emit(steps: Step[], node: Node, next: number): number {
  switch (node.kind) {
    case 'empty':
      return next;
    case 'set':
      return push(steps, { op: 'read', set: node.set, fold: node.fold, next });
    case 'at':
      return push(steps, { op: 'at', place: node.place, next });
    case 'sequence':
      return node.parts.reduceRight((after, part) => emit(steps, part, after), next);
    case 'choice':
      return node.parts
        .map((part) => emit(steps, part, next))
        .reduceRight((other, start) => push(steps, { op: 'split', next: start, other }));
    case 'repeat':
      return emitRepeat(steps, node, next);
  }
}

function emitRepeat(steps: Step[], { of, min, max }: Node & { kind: 'repeat' }, next: number): number {
  let start = next;
  if (max === Infinity) start = emitLoop(steps, of, next);
  else
    for (let i = min; i < max; i++)
      start = push(steps, { op: 'split', next: emit(steps, of, start), other: next });
  for (let i = 0; i < min; i++) start = emit(steps, of, start);
  return start;
}

function emitLoop(steps: Step[], of: Node, next: number): number {
  const split: Step = { op: 'split', next, other: next };
  const start = push(steps, split);
  split.other = emit(steps, of, start);
  return start;
}

/** Which steps are live, and which were visited at this position already. */
class Live {
  readonly reading: number[] = [];
  readonly #seen: Uint8Array;
  readonly #work: { left: number };

  constructor(size: number, work: { left: number }) {
    this.#seen = new Uint8Array(size);
    this.#work = work;
  }

  visit(index: number): boolean {
    if (this.#work.left-- <= 0) throw resourceExhausted('regexp takes too long on this text');
    if (this.#seen[index] === 1) return false;
    this.#seen[index] = 1;
    return true;
  }

  clear(): void {
    this.reading.length = 0;
    this.#seen.fill(0);
  }
}

function run(steps: readonly Step[], start: number, text: string): boolean {
  const work = { left: maxWork };
  let live = new Live(steps.length, work);
  let later = new Live(steps.length, work);
  for (let at = 0; ; ) {
    if (follow(steps, start, text, at, live)) return true;
    const rune = text.codePointAt(at);
    if (rune === undefined) return false;
    at += rune > 0xffff ? 2 : 1;
    if (readAll(steps, live, later, rune, text, at)) return true;
    live.clear();
    [live, later] = [later, live];
  }
}

function readAll(
  steps: readonly Step[],
  live: Live,
  later: Live,
  rune: number,
  text: string,
  at: number,
): boolean {
  for (const index of live.reading) {
    const step = steps[index];
    if (step?.op !== 'read') continue;
    const matches = step.fold ? containsFolded(step.set, rune) : contains(step.set, rune);
    if (matches && follow(steps, step.next, text, at, later)) return true;
  }
  return false;
}

/** Marks everything reachable from `start` without reading; true when that includes acceptance. */
function follow(steps: readonly Step[], start: number, text: string, at: number, live: Live): boolean {
  const pending = [start];
  for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
    const step = steps[index];
    if (step === undefined || !live.visit(index)) continue;
    if (step.op === 'accept') return true;
    if (step.op === 'read') live.reading.push(index);
    else if (step.op === 'split') pending.push(step.other, step.next);
    else if (holds(step.place, text, at)) pending.push(step.next);
  }
  return false;
}

function holds(place: Place, text: string, at: number): boolean {
  switch (place) {
    case 'textStart':
      return at === 0;
    case 'textEnd':
      return at === text.length;
    case 'lineStart':
      return at === 0 || text.charCodeAt(at - 1) === newline;
    case 'lineEnd':
      return at === text.length || text.charCodeAt(at) === newline;
    case 'wordEdge':
      return isWord(text, at - 1) !== isWord(text, at);
    case 'noWordEdge':
      return isWord(text, at - 1) === isWord(text, at);
  }
}

const isWord = (text: string, at: number): boolean =>
  at >= 0 && at < text.length && contains(words, text.charCodeAt(at));
