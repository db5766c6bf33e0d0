import { invalidArgument } from '../../errors/error.ts';

/** `key=value` pairs by key, as given several times on the command line. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** @throws invalid_argument, listing the keys there are */
export function parseFilters(texts: readonly string[], known: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of texts) {
    const at = text.indexOf('=');
    const key = at < 0 ? '' : text.slice(0, at);
    if (!known.includes(key)) {
      throw invalidArgument(
        `invalid filter ${JSON.stringify(text)}, want KEY=VALUE with KEY one of ${known.join(', ')}`,
      );
    }
    filters.set(key, [...(filters.get(key) ?? []), text.slice(at + 1)]);
  }
  return filters;
}

/** Values of one key are alternatives; keys without values accept everything. */
export function passes(filters: Filters, key: string, accepts: (value: string) => boolean): boolean {
  const values = filters.get(key);
  return values === undefined || values.some(accepts);
}

/** `label=KEY` or `label=KEY=VALUE`: every one must hold, as in docker. */
export function hasLabels(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  return (filters.get('label') ?? []).every((wanted) => {
    const at = wanted.indexOf('=');
    return at < 0 ? wanted in labels : labels[wanted.slice(0, at)] === wanted.slice(at + 1);
  });
}
