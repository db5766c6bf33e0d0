import { invalidArgument } from '../../errors/error.ts';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `10s`, `1h30m`, `250ms`; undefined for anything else. */
export function findDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit = 's'] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    total += Number(amount) * (unitMs[unit] ?? 0);
  }
  return total;
}

/** A moment: RFC 3339, Unix seconds, or how long ago (`10m`). @throws invalid_argument */
export function parseMoment(text: string, now = Date.now()): Date {
  const ago = findDuration(text);
  if (ago !== undefined) return new Date(now - ago);
  const date = /^\d+(?:\.\d+)?$/.test(text) ? new Date(Number(text) * 1000) : new Date(text);
  if (Number.isNaN(date.getTime())) {
    throw invalidArgument(
      `invalid time ${JSON.stringify(text)}, want 10m, 2026-01-31T12:00:00Z or Unix seconds`,
    );
  }
  return date;
}
