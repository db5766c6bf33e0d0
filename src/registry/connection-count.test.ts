import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionCount } from './connection-count.ts';

const mebibyte = 1024 * 1024;
/** Numbers of connections after windows of so many MiB a second each, the reader waiting so much. */
function judged(rates: readonly number[], waiting = 0.9): number[] {
  const count = new ConnectionCount();
  return rates.map((rate) => count.judge({ bytesPerSecond: rate * mebibyte, waiting }));
}

test('connections become more as long as that pays', () => {
  assert.deepEqual(judged([4, 9, 16, 20, 32, 32, 32]), [4, 4, 8, 8, 8, 8, 8]);
});

test('where more bring nothing it is as many as before, for good', () => {
  assert.deepEqual(judged([4, 4, 4, 99, 4]), [4, 4, 1, 1, 1]);
  assert.deepEqual(judged([4, 16, 16, 17, 17, 17]), [4, 4, 8, 8, 4, 4]);
});

test('a fast connection, and a reader that is busy itself, get no more', () => {
  assert.deepEqual(judged([80, 90, 100]), [1, 1, 1]);
  assert.deepEqual(judged([4, 4, 4], 0.2), [1, 1, 1]);
});

test('one is one after it was given up', () => {
  const count = new ConnectionCount();
  count.giveUp();
  assert.equal(count.judge({ bytesPerSecond: 1, waiting: 1 }), 1);
});
