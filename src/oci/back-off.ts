import { invalidArgument } from '../errors/error.ts';

/** How long to wait before a restart: `firstMs`, doubled with each quick end, at most `longestMs`. */
export interface BackOff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** What `berth run --restart` asks for: docker's numbers. */
export const defaultBackOff = '100ms..1m';

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const shortestMs = 10;
const defaultLongestMs = 60_000;
const limitMs = 24 * 3_600_000;

/** Reads `FIRST[..LONGEST]`, durations such as `100ms` or `1m`, from 10 ms to 24 hours. @throws invalid_argument */
export function parseBackOff(text: string): BackOff {
  const [first = '', longest, more] = text.split('..');
  const firstMs = parseMs(first);
  const longestMs = longest === undefined ? Math.max(firstMs ?? 0, defaultLongestMs) : parseMs(longest);
  if (firstMs === undefined || longestMs === undefined || longestMs < firstMs || more !== undefined)
    throw invalidArgument(`back-off ${JSON.stringify(text.slice(0, 100))}: want e.g. ${defaultBackOff}`);
  return { firstMs, longestMs };
}

function parseMs(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,8})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(digits) * (units[unit] ?? Number.NaN);
  return ms >= shortestMs && ms <= limitMs ? ms : undefined;
}

/** The wait before the next restart, after so many quick ends in a row. */
export const waitMs = ({ firstMs, longestMs }: BackOff, quickEnds: number): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(quickEnds, 30));
