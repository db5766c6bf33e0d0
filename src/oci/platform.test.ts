import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlatform, normalizePlatform, parsePlatform, platformMatcher } from './platform.ts';

const normal: [text: string, normalised: string][] = [
  ['linux/x86_64', 'linux/amd64'],
  ['linux/x86-64', 'linux/amd64'],
  ['Linux/AMD64', 'linux/amd64'],
  ['linux/amd64/v1', 'linux/amd64'],
  ['linux/amd64/v3', 'linux/amd64/v3'],
  ['linux/aarch64', 'linux/arm64'],
  ['linux/arm64/v8', 'linux/arm64'],
  ['linux/arm64/8', 'linux/arm64'],
  ['linux/arm64/v9', 'linux/arm64/v9'],
  ['linux/arm', 'linux/arm/v7'],
  ['linux/arm/7', 'linux/arm/v7'],
  ['linux/armhf', 'linux/arm/v7'],
  ['linux/armel', 'linux/arm/v6'],
  ['linux/i386', 'linux/386'],
  ['macos/arm64', 'darwin/arm64'],
  ['arm64', 'linux/arm64'],
  ['s390x', 'linux/s390x'],
];
for (const [text, normalised] of normal)
  test(`platform ${text} is ${normalised}`, () => {
    assert.equal(formatPlatform(parsePlatform(text)), normalised);
    assert.deepEqual(normalizePlatform(parsePlatform(text)), parsePlatform(text));
  });

for (const text of ['', '/', 'linux/', 'linux/amd64/v1/x', 'nosuch', 'linux/a b', '../x', 'constructor'])
  test(`platform ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parsePlatform(text), { kind: 'invalid_argument' });
  });

const orders: [wanted: string, best: string[]][] = [
  ['linux/amd64', ['linux/amd64', 'linux/386']],
  ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64', 'linux/386']],
  ['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
  ['linux/arm64', ['linux/arm64/v8', 'linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
  ['linux/arm64/v9', ['linux/arm64/v9', 'linux/arm64/v8.1', 'linux/arm64', 'linux/arm/v7']],
  ['linux/s390x', ['linux/s390x']],
];
for (const [wanted, best] of orders)
  test(`${wanted} prefers ${best.join(', ')}`, () => {
    const { rank } = platformMatcher(parsePlatform(wanted));
    const ranks = best.map((text) => rank(parsePlatform(text)));
    assert.ok(ranks.every((r) => r !== undefined));
    assert.deepEqual(
      ranks,
      ranks.toSorted((a, b) => Number(a) - Number(b)),
    );
    assert.equal(new Set(ranks).size, best.length);
  });

test('a platform that does not run here has no rank', () => {
  const { rank } = platformMatcher(parsePlatform('linux/amd64'));
  for (const text of ['linux/arm64', 'windows/amd64', 'linux/amd64/v2'])
    assert.equal(rank(parsePlatform(text)), undefined);
  assert.equal(rank({ os: 'unknown', architecture: 'unknown' }), undefined);
});
