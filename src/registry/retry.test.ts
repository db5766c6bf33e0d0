import assert from 'node:assert/strict';
import { test } from 'node:test';
import { never } from '../async/never.ts';
import { unavailable } from '../errors/error.ts';
import { defaultRetry, isTransientStatus, parseRetryAfter, pauseAfter, retrying } from './retry.ts';

const quick = { ...defaultRetry, attempts: 3, baseMs: 1, capMs: 2 };

test('Retry-After is read as seconds or as a date, else not at all', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  assert.equal(parseRetryAfter('7', now), 7_000);
  assert.equal(parseRetryAfter('Sun, 22 Nov 2026 10:00:30 GMT', now), 30_000);
  assert.equal(parseRetryAfter('Sun, 22 Nov 2026 09:00:00 GMT', now), 0);
  assert.equal(parseRetryAfter('9'.repeat(400), now), Number.MAX_SAFE_INTEGER);
  for (const text of [undefined, '', 'soon', '-1', '1.5'])
    assert.equal(parseRetryAfter(text, now), undefined);
});

test('pauses double with jitter up to the cap, and a server that asks for too much is not waited for', () => {
  const full = [1, 2, 3, 9].map((n) => pauseAfter(defaultRetry, n, undefined, () => 1));
  assert.deepEqual(full, [250, 500, 1000, 5000]);
  assert.equal(
    pauseAfter(defaultRetry, 1, undefined, () => 0),
    125,
  );
  assert.equal(pauseAfter(defaultRetry, 1, 3_000), 3_000);
  assert.equal(pauseAfter(defaultRetry, 1, 3_600_000), undefined);
});

test('only statuses that another try may not meet are retried', () => {
  const retried = [200, 400, 401, 403, 404, 408, 416, 429, 500, 501, 502, 503, 504].filter(isTransientStatus);
  assert.deepEqual(retried, [408, 429, 500, 502, 503, 504]);
});

test('a passing failure is tried again, a lasting one ends with its own error', async () => {
  let tries = 0;
  const value = await retrying(quick, never, async (n) => {
    tries = n;
    return n < 3 ? { error: unavailable('busy') } : { value: 'here' };
  });
  assert.deepEqual([value, tries], ['here', 3]);
  await assert.rejects(
    retrying(quick, never, async () => ({ error: unavailable('busy') })),
    /busy/,
  );
});

test('a cancelled wait ends at once', async () => {
  const stop = new AbortController();
  const slow = { ...quick, baseMs: 60_000, capMs: 60_000 };
  const running = retrying(slow, stop.signal, async () => ({ error: unavailable('busy') }));
  setImmediate(() => stop.abort());
  await assert.rejects(running, { name: 'AbortError' });
});
