import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chainIdOf, chainIds } from './chain-id.ts';
import { digestBytes, parseDiffId } from './digest.ts';

const a = parseDiffId(digestBytes('a'));
const b = parseDiffId(digestBytes('b'));
const c = parseDiffId(digestBytes('c'));

test('the chain id of one layer is its diff id', () => {
  assert.equal(chainIdOf([a]), a);
});

test('each further layer hashes the chain so far, a space and its diff id', () => {
  const ab = digestBytes(`${a} ${b}`);
  assert.deepEqual(chainIds([a, b, c]), [a, ab, digestBytes(`${ab} ${c}`)]);
});

test('no layers have no chain id', () => {
  assert.deepEqual(chainIds([]), []);
  assert.throws(() => chainIdOf([]), { kind: 'invalid_argument' });
});
