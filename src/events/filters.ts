import { invalidArgument } from '../errors/error.ts';
import { FilterScanner } from './filter-scanner.ts';
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

  constructor(text: string) {
    this.#scanner = new FilterScanner(text);
  }

  /** Spaces may stand before a token, but none before a comma or a dot. */
  selectors(): Filter[] {
    const found = [this.#selector()];
    for (let rune = this.#scanner.peek(); rune !== ''; rune = this.#scanner.peek()) {
      if (rune !== ',') throw this.#scanner.fail(this.#scanner.at, `unexpected input: ${rune}`);
      this.#scanner.next();
      found.push(this.#selector());
    }
    return found;
  }

  #selector(): Filter {
    const path = [this.#pathPart()];
    while (this.#scanner.peek() === '.') {
      this.#scanner.next();
      path.push(this.#pathPart());
    }
    const isAlone = ['', ','].includes(this.#scanner.peek());
    return isAlone ? (adapt) => adapt(path) !== undefined : this.#comparison(path);
  }

  #pathPart(): string {
    const { kind, text, quote, at } = this.#scanner.next();
    if (kind === 'quoted' && quote !== '"') throw this.#scanner.fail(at, 'invalid quote encountered');
    if (kind === 'field' || kind === 'quoted') return text;
    throw this.#scanner.fail(at, 'expected field or quoted');
  }

  #comparison(path: readonly string[]): Filter {
    const operator = this.#scanner.next();
    if (operator.kind !== 'operator')
      throw this.#scanner.fail(operator.at, 'expected an operator ("=="|"!="|"~=")');
    if (!isOperator(operator.text))
      throw this.#scanner.fail(operator.at, `unsupported operator ${JSON.stringify(operator.text)}`);
    const value = this.#scanner.next(true);
    if (value.kind === 'quoted' && value.quote !== '"' && operator.text !== '~=')
      throw this.#scanner.fail(value.at, 'invalid quote encountered');
    if (value.kind === 'value' || value.kind === 'quoted')
      return comparisons[operator.text](path, value.text);
    throw this.#scanner.fail(value.at, 'expected value or quoted');
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
