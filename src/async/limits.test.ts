import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedLock } from './keyed-lock.ts';
import { Limiter } from './limiter.ts';
import { never } from './never.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

test('a keyed lock has one holder a key and forgets keys nobody holds', async () => {
  const locks = new KeyedLock();
  const order: string[] = [];
  const first = await locks.acquire('a', never);
  const second = locks.acquire('a', never).then((lock) => {
    order.push('second');
    lock[Symbol.dispose]();
  });
  const other = await locks.acquire('b', never);
  await tick();
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  other[Symbol.dispose]();
  await second;
  await tick();
  assert.equal(locks.size, 0);
});

test('a waiter that gives up does not let the next one past the holder', async () => {
  const locks = new KeyedLock();
  const holder = await locks.acquire('a', never);
  const stop = new AbortController();
  const quitter = locks.acquire('a', stop.signal);
  let entered = false;
  const third = locks.acquire('a', never).then((lock) => {
    entered = true;
    return lock;
  });
  stop.abort(new Error('gone'));
  await assert.rejects(quitter, /gone/);
  await tick();
  assert.equal(entered, false);
  holder[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});

test('a limiter lets at most its number in, and a waiter that gives up takes no place', async () => {
  const limiter = new Limiter(2);
  const held = [await limiter.acquire(never), await limiter.acquire(never)];
  const stop = new AbortController();
  const quitter = limiter.acquire(stop.signal);
  const waiter = limiter.acquire(never);
  stop.abort(new Error('gone'));
  await assert.rejects(quitter, /gone/);
  held[0]?.[Symbol.dispose]();
  held[0]?.[Symbol.dispose]();
  (await waiter)[Symbol.dispose]();
  held[1]?.[Symbol.dispose]();
  (await limiter.acquire(never))[Symbol.dispose]();
});

test('a limiter that grows lets waiters in at once, one that shrinks waits for its holders', async () => {
  const limiter = new Limiter(1);
  const signal = new AbortController().signal;
  const first = await limiter.acquire(signal);
  const second = limiter.acquire(signal);
  limiter.resize(2);
  const held = await second;
  limiter.resize(1);
  let entered = false;
  const third = limiter.acquire(signal).then((lock) => {
    entered = true;
    return lock;
  });
  first[Symbol.dispose]();
  await new Promise(setImmediate);
  assert.equal(entered, false);
  held[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.equal(entered, true);
});
