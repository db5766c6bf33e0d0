import { type Labels, labelOf } from './labels.ts';

/**
 * A reference to a snapshot that holds only while the snapshot says so (containerd's `gc.cond.snapshot…` labels): the
 * holder keeps it when any of the conditions is met.
 */
export interface ConditionalRef {
  /** `<snapshotter>/<name>` */
  readonly snapshot: string;
  readonly conditions: readonly Condition[];
}

/** The snapshot's last use must be less (`<`) or more (`>`) than so long ago. */
export interface Condition {
  readonly operator: '<' | '>';
  readonly ageMs: number;
}

const prefix = 'containerd.io/gc.cond.snapshot';
const usedAtLabel = 'containerd.io/gc.cond.value-usedat';

/**
 * The label `gc.cond.snapshot.<snapshotter>[/x]` = `usedat<24h[,…]|name`; undefined for any other key, and where the
 * value is no such text. Conditions that are not understood are as if they were not there.
 */
export function conditionalRef(key: string, value: string): ConditionalRef | undefined {
  if (!key.startsWith(prefix)) return undefined;
  const snapshotter =
    key
      .slice(prefix.length)
      .replace(/^[./]+/, '')
      .split('/')[0] ?? '';
  const bar = value.indexOf('|');
  if (bar < 0) return undefined;
  const conditions = value.slice(0, bar).split(',').flatMap(parseCondition);
  return conditions.length > 0
    ? { snapshot: `${snapshotter}/${value.slice(bar + 1)}`, conditions }
    : undefined;
}

/** When a snapshot says it was last used, milliseconds; undefined where it does not. */
export function usedAt(labels: Labels): number | undefined {
  return parseTime(labelOf(labels, usedAtLabel));
}

/** Whether a snapshot last used then (undefined: it does not say) is kept. */
export function isMet({ conditions }: ConditionalRef, usedAtMs: number | undefined, now: number): boolean {
  if (usedAtMs === undefined) return false;
  return conditions.some(({ operator, ageMs }) =>
    operator === '<' ? now - usedAtMs < ageMs : now - usedAtMs > ageMs,
  );
}

/** RFC 3339 ▶ milliseconds; undefined when absent or no such time. */
export function parseTime(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{4}-\d\d-\d\d[Tt]/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

function parseCondition(text: string): Condition[] {
  const match = /^usedat([<>])(.*)$/.exec(text);
  const ageMs = match && parseDuration(match[2] ?? '');
  if (!match || ageMs === undefined || ageMs === null) return [];
  return [{ operator: match[1] === '<' ? '<' : '>', ageMs }];
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A duration as Go writes it: `1h30m`, `-1.5s`, `0`. */
function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text);
  if (!match) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of (match[2] ?? '').matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
    totalMs += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  return match[1] === '-' ? -totalMs : totalMs;
}
