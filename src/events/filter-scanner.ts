import { invalidArgument } from '../errors/error.ts';

type TokenKind = 'field' | 'quoted' | 'operator' | 'separator' | 'value' | 'illegal' | 'end';

/** `text` is as written but for `quoted`, where it is what stands between the quotes, escapes resolved. */
interface Token {
  readonly kind: TokenKind;
  readonly at: number;
  readonly text: string;
  /** The quote rune of a quoted token. */
  readonly quote?: string;
}

/** Reads the tokens of a filter: what a token is depends on whether a value is wanted. */
export class FilterScanner {
  readonly #input: string;
  #at = 0;

  constructor(input: string) {
    this.#input = input;
  }

  /** Where the next token, or the space before it, starts. */
  get at(): number {
    return this.#at;
  }

  /** The rune there; '' at the end. @throws invalid_argument for a null */
  peek(): string {
    const rune = this.#rune(this.#at);
    if (rune === '\0') throw this.fail(this.#at, 'unexpected null');
    return rune;
  }

  /** The next token; with `value`, everything up to a comma or space is one value. @throws invalid_argument */
  next(value = false): Token {
    while (/\s/u.test(this.#rune(this.#at))) this.#at++;
    const at = this.#at;
    const rune = this.#rune(at);
    if (rune === '') return { kind: 'end', at, text: '' };
    if (rune === '\0') throw this.fail(at, 'unexpected null');
    if (rune === '"' || rune === '/' || rune === '|') return this.#quoted(rune);
    if (rune === ',' || rune === '.') return this.#token('separator', at, 1);
    if (/[=!~]/.test(rune)) return this.#token('operator', at, this.#run(/[=!~]/));
    return value ? this.#token('value', at, this.#run(/[^,\s\0]/u)) : this.#bare(rune);
  }

  /** containerd's words: `filters: parse error: [before >|rune|< after]: why`. */
  fail(at: number, why: string): Error {
    const rune = this.#rune(at);
    const [before, after] = [this.#input.slice(0, at), this.#input.slice(at + rune.length)];
    const shown = rune === '' ? this.#input : `${before} >|${rune}|< ${after}`;
    return invalidArgument(`filters: parse error: [${shown}]: ${why}`);
  }

  #bare(rune: string): Token {
    if (/\w/.test(rune)) return this.#token('field', this.#at, this.#run(/\w/));
    return this.#token('illegal', this.#at, rune.length);
  }

  #token(kind: TokenKind, at: number, length: number): Token {
    this.#at = at + length;
    return { kind, at, text: this.#input.slice(at, this.#at) };
  }

  #run(allowed: RegExp): number {
    let end = this.#at;
    for (let rune = this.#rune(end); rune !== '' && allowed.test(rune); rune = this.#rune(end))
      end += rune.length;
    return end - this.#at;
  }

  #rune(at: number): string {
    const code = this.#input.codePointAt(at);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  #quoted(quote: string): Token {
    const at = this.#at++;
    let text = '';
    for (;;) {
      const rune = this.#rune(this.#at);
      if (rune === '' || rune === '\n') throw this.fail(at, 'quoted literal not terminated');
      if (rune === '\0') throw this.fail(at, 'unexpected null');
      this.#at += rune.length;
      if (rune === quote) return { kind: 'quoted', at, text, quote };
      text += rune === '\\' ? this.#escape(at, quote) : rune;
    }
  }

  #escape(start: number, quote: string): string {
    const rune = this.#rune(this.#at);
    if (rune === quote || Object.hasOwn(escapes, rune)) {
      this.#at++;
      return escapes[rune] ?? rune;
    }
    return this.#numericEscape(start, rune);
  }

  #numericEscape(start: number, rune: string): string {
    const form = /^[0-7]$/.test(rune) ? /^()([0-7]{3})/ : numeric[rune];
    if (form === undefined) throw this.fail(start, 'illegal escape sequence');
    const match = form.exec(this.#input.slice(this.#at, this.#at + 9));
    const code = Number.parseInt(match?.[2] ?? '', match?.[1] === '' ? 8 : 16);
    if (match === null || code > 0x10ffff) throw this.fail(start, 'illegal numeric escape sequence');
    this.#at += match[0].length;
    return String.fromCodePoint(code);
  }
}

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

const numeric: Readonly<Record<string, RegExp>> = {
  x: /^(x)([0-9A-Fa-f]{2})/,
  u: /^(u)([0-9A-Fa-f]{4})/,
  U: /^(U)([0-9A-Fa-f]{8})/,
};
