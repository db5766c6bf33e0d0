import assert from 'node:assert/strict';
import { test } from 'node:test';
import { algorithmOf, digestBytes, hexOf, isDigest, parseDiffId, parseDigest } from './digest.ts';

const empty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

test('bytes have a digest by either algorithm', () => {
  assert.equal(digestBytes(''), empty);
  assert.equal(digestBytes(new Uint8Array()), empty);
  assert.equal(algorithmOf(digestBytes('x', 'sha512')), 'sha512');
  assert.equal(hexOf(digestBytes('x', 'sha512')).length, 128);
});

const odd = [
  '',
  'sha256:',
  empty.slice(0, -1),
  `${empty}0`,
  empty.toUpperCase(),
  'sha256:../../x',
  `${empty}\n`,
  ` ${empty}`,
];
for (const text of [
  ...odd,
  `md5:${'a'.repeat(32)}`,
  `sha512:${'a'.repeat(64)}`,
  null,
  5,
  [empty],
  { toString: () => empty },
])
  test(`CVE-2024-3727: ${JSON.stringify(text)} is no digest`, () => {
    assert.throws(() => parseDigest(text), { kind: 'invalid_argument' });
    assert.ok(!isDigest(text));
  });

test('a digest is returned as it is', () => {
  assert.equal(parseDigest(empty), empty);
  assert.equal(parseDiffId(empty), empty);
});
