import { setTimeout as sleep } from 'node:timers/promises';

/** When to try again, and for how long. Times are in milliseconds. */
export interface RetryPolicy {
  /** Tries in all, the first one counted. */
  readonly attempts: number;
  /** First pause; doubles each time, with up to half of it random. */
  readonly baseMs: number;
  readonly capMs: number;
  /** A server that asks (Retry-After) for a longer pause is not waited for. */
  readonly retryAfterCapMs: number;
}

export const defaultRetry: RetryPolicy = { attempts: 5, baseMs: 250, capMs: 5_000, retryAfterCapMs: 60_000 };
export const noRetry: RetryPolicy = { ...defaultRetry, attempts: 1 };

/** What one try came to: a value, or an error that another try might not meet. Errors that stay are thrown. */
export type Outcome<T> =
  | { readonly value: T }
  | { readonly error: Error; readonly retryAfterMs?: number | undefined };

/** Statuses worth another try (RFC 9110 §15, and 429 of RFC 6585). */
export const isTransientStatus = (status: number): boolean =>
  status === 408 || status === 429 || status === 500 || (status >= 502 && status <= 504);

/** Runs `attempt` until it has a value, throws, or the policy is used up; then throws the last error. */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: (attempt: number) => Promise<Outcome<T>>,
): Promise<T> {
  for (let n = 1; ; n++) {
    const outcome = await attempt(n);
    if ('value' in outcome) return outcome.value;
    const pauseMs = pauseAfter(policy, n, outcome.retryAfterMs);
    if (n >= policy.attempts || pauseMs === undefined) throw outcome.error;
    await sleep(pauseMs, undefined, { signal });
  }
}

/** Pause after the `n`th failed try; undefined when the server asks for more than the policy gives. */
export function pauseAfter(
  policy: RetryPolicy,
  n: number,
  retryAfterMs?: number,
  random: () => number = Math.random,
): number | undefined {
  const full = Math.min(policy.capMs, policy.baseMs * 2 ** (n - 1));
  const backoff = full / 2 + (full / 2) * random();
  if (retryAfterMs === undefined) return backoff;
  return retryAfterMs > policy.retryAfterCapMs ? undefined : Math.max(backoff, retryAfterMs);
}

/** Retry-After in seconds or as a date (RFC 9110 §10.2.3), in milliseconds from `nowMs`; undefined when it says neither. */
export function parseRetryAfter(value: string | undefined, nowMs: number = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER);
  const date = /\d{2}:\d{2}:\d{2}/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
