import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairLimiter } from './fair-limiter.ts';
import { never } from './never.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Asks for `count` slots of a group; entered ones are noted, and released by calling. */
function crowd(limiter: FairLimiter, group: string, count: number, entered: string[]): (() => void)[] {
  const releases: (() => void)[] = [];
  for (let n = 0; n < count; n++)
    void limiter.acquire(group, never).then((slot) => {
      entered.push(group);
      releases.push(() => slot[Symbol.dispose]());
    });
  return releases;
}

test('a small group does not wait for a huge one, and groups take turns', async () => {
  const limiter = new FairLimiter(2);
  const entered: string[] = [];
  const huge = crowd(limiter, 'huge', 10, entered);
  await tick();
  const small = crowd(limiter, 'small', 2, entered);
  await tick();
  assert.deepEqual(entered, ['huge', 'huge']);
  huge.shift()?.();
  await tick();
  assert.deepEqual(entered, ['huge', 'huge', 'small']);
  small.shift()?.();
  await tick();
  huge.shift()?.();
  await tick();
  assert.deepEqual(entered.slice(3), ['small', 'huge']);
});

test('a group that holds nothing gets a spare slot at once, and only one', async () => {
  const limiter = new FairLimiter(2, 1);
  const entered: string[] = [];
  crowd(limiter, 'huge', 5, entered);
  crowd(limiter, 'small', 2, entered);
  crowd(limiter, 'late', 1, entered);
  await tick();
  assert.deepEqual(entered, ['huge', 'huge', 'small']);
});

test('a waiter that gives up takes no slot, and slots come and go with the size', async () => {
  const limiter = new FairLimiter(1);
  const slot = await limiter.acquire('a', never);
  const stop = new AbortController();
  const quitter = limiter.acquire('b', stop.signal);
  const next = limiter.acquire('c', never);
  stop.abort(new Error('gone'));
  await assert.rejects(quitter, /gone/);
  slot[Symbol.dispose]();
  slot[Symbol.dispose]();
  const held = await next;
  limiter.resize(2);
  (await limiter.acquire('c', never))[Symbol.dispose]();
  held[Symbol.dispose]();
});
