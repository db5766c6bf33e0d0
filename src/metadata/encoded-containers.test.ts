import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EncodedContainers } from './encoded-containers.ts';

test('what is held is told apart by namespace and id, until it is forgotten', () => {
  const held = new EncodedContainers();
  const [one, other] = [Uint8Array.of(1), Uint8Array.of(2)];
  held.set('a', 'c', one);
  held.set('b', 'c', other);
  assert.equal(held.get('a', 'c'), one);
  assert.equal(held.get('b', 'c'), other);
  held.set('a', 'c', other);
  assert.equal(held.get('a', 'c'), other);
  held.forget('a', 'c');
  held.forget('a', 'never');
  assert.equal(held.get('a', 'c'), undefined);
  assert.equal(held.get('b', 'c'), other);
  held.clear();
  assert.equal(held.get('b', 'c'), undefined);
});

test('what goes beyond the limit is not held, until there is room again', () => {
  const held = new EncodedContainers(10);
  const six = new Uint8Array(6);
  held.set('n', 'a', six);
  held.set('n', 'b', six);
  assert.equal(held.get('n', 'b'), undefined);
  // Larger than before, and too large: the old bytes must not stay either.
  held.set('n', 'a', new Uint8Array(11));
  assert.equal(held.get('n', 'a'), undefined);
  held.set('n', 'b', six);
  assert.equal(held.get('n', 'b'), six);
  held.clear();
  held.set('n', 'c', new Uint8Array(10));
  assert.equal(held.get('n', 'c')?.length, 10);
});
