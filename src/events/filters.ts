import { invalidArgument } from '../errors/error.ts';
import { FilterScanner, type Token, type TokenKind } from './filter-scanner.ts';
import { compileRegexp } from './regexp.ts';

/** Gives the value of a field path (`['labels', 'a']`) of the thing that is tested; undefined = not present. */
export type Adapt = (path: readonly string[]) => string | undefined;
export type Filter = (adapt: Adapt) => boolean;

const maxFilters = 1000;
const maxLength = 64 * 1024;

/**
 * Compiles filters in containerd's grammar: `fieldpath[operator value]`, operators `==` `!=` `~=` (RE2 regular expression),
 * no operator = is present, parts of the path may be quoted (`labels."a.b"`), values may stand in `"…"`, `/…/` or `|…|`,
 * a comma means "and", several filters mean "or". None at all, and an empty one, match everything.
 * @throws invalid_argument in containerd's words; also for a regular expression that does not compile, where containerd logs
 *   that and matches nothing
 */
export function compileFilters(filters: readonly string[]): Filter {
  if (filters.length > maxFilters) throw invalidArgument(`more than ${maxFilters} filters`);
  if (filters.length === 0) return () => true;
  const any = filters.map(compileFilter);
  return (adapt) => any.some((filter) => filter(adapt));
}

function compileFilter(text: string): Filter {
  if (text.length > maxLength) throw invalidArgument(`filter is longer than ${maxLength} characters`);
  if (text === '') return () => true;
  const parser = new FilterParser(text);
  const all = parser.selectors();
  return (adapt) => all.every((selector) => selector(adapt));
}

class FilterParser {
  readonly #scanner: FilterScanner;
  #token: Token;

  constructor(text: string) {
    this.#scanner = new FilterScanner(text);
    this.#token = this.#scanner.next();
  }

  selectors(): Filter[] {
    const found = [this.#selector()];
    while (!this.#is('end')) {
      if (!this.#is('separator', ',')) throw this.#fail(`unexpected input: ${this.#token.text}`);
      this.#advance();
      found.push(this.#selector());
    }
    return found;
  }

  #selector(): Filter {
    const path = [this.#pathPart()];
    while (this.#is('separator', '.')) {
      this.#advance();
      path.push(this.#pathPart());
    }
    if (this.#is('operator')) return this.#comparison(path);
    if (!this.#is('end') && !this.#is('separator', ','))
      throw this.#fail('expected an operator ("=="|"!="|"~=")');
    return (adapt) => adapt(path) !== undefined;
  }

  #pathPart(): string {
    const { kind, text, quote } = this.#token;
    if (kind === 'quoted' && quote !== '"') throw this.#fail('invalid quote encountered');
    if (kind !== 'field' && kind !== 'quoted') throw this.#fail('expected field or quoted');
    this.#advance();
    return text;
  }

  #comparison(path: readonly string[]): Filter {
    const operator = this.#token;
    if (!isOperator(operator.text)) throw this.#fail(`unsupported operator ${JSON.stringify(operator.text)}`);
    this.#advance(true);
    const value = this.#token;
    if (value.kind !== 'value' && value.kind !== 'quoted') throw this.#fail('expected value or quoted');
    this.#advance();
    return comparisons[operator.text](path, value.text);
  }

  #is(kind: TokenKind, text = this.#token.text): boolean {
    return this.#token.kind === kind && this.#token.text === text;
  }

  #advance(value = false): void {
    this.#token = this.#scanner.next(value);
  }

  #fail(why: string): Error {
    return this.#scanner.fail(this.#token.at, why);
  }
}

type Operator = keyof typeof comparisons;

/** As in containerd, what is not present equals nothing, differs from everything but '', and matches as ''. */
const comparisons = {
  '==': (path, value) => (adapt) => adapt(path) === value,
  '!=': (path, value) => (adapt) => (adapt(path) ?? '') !== value,
  '~=': (path, value) => {
    const matches = compileRegexp(value);
    return (adapt) => matches(adapt(path) ?? '');
  },
} as const satisfies Record<string, (path: readonly string[], value: string) => Filter>;

const isOperator = (text: string): text is Operator => Object.hasOwn(comparisons, text);
