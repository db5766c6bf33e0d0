import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestBytes } from './digest.ts';
import {
  familiarReference,
  formatReference,
  normalizeReference,
  parseFamiliar,
  parseReference,
} from './reference.ts';

const digest = digestBytes('x');
const long = 'a'.repeat(255);

const familiar: [typed: string, canonical: string][] = [
  ['redis', 'docker.io/library/redis:latest'],
  ['redis:7', 'docker.io/library/redis:7'],
  ['me/app', 'docker.io/me/app:latest'],
  ['docker.io/redis', 'docker.io/library/redis:latest'],
  ['index.docker.io/redis:7', 'docker.io/library/redis:7'],
  [`redis@${digest}`, `docker.io/library/redis@${digest}`],
  [`redis:7@${digest}`, `docker.io/library/redis:7@${digest}`],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['[::1]:5000/a/b:t', '[::1]:5000/a/b:t'],
  ['[2001:db8::1]/a', '[2001:db8::1]/a:latest'],
  ['127.0.0.1:5000/a', '127.0.0.1:5000/a:latest'],
  ['Registry/a', 'Registry/a:latest'],
  ['ghcr.io/a/b_c/d__e/f-g--h/i.j', 'ghcr.io/a/b_c/d__e/f-g--h/i.j:latest'],
  [`x.io/${long}`, `x.io/${long}:latest`],
  [`redis:${'t'.repeat(128)}`, `docker.io/library/redis:${'t'.repeat(128)}`],
];

for (const [typed, canonical] of familiar) {
  test(`${typed.slice(0, 60)} reads as ${canonical.slice(0, 80)}`, () => {
    assert.equal(normalizeReference(typed), canonical);
    assert.equal(formatReference(parseReference(canonical)), canonical);
  });
}

const refused = [
  '',
  '/',
  ':',
  '@',
  ':latest',
  `@${digest}`,
  'redis:',
  'redis@',
  'redis@sha256:abc',
  `redis@${digest.toUpperCase()}`,
  `redis@md5:${'a'.repeat(32)}`,
  'Redis',
  'me/App',
  'a//b',
  'a/',
  '/a',
  'a/../b',
  'x.io/a/./b',
  '-rm',
  '--privileged/x',
  'a b',
  'a\nb',
  'a\0',
  'redis:-x',
  'redis:.x',
  `redis:${'t'.repeat(129)}`,
  `x.io/${long}a`,
  'a___b',
  'a..b',
  '_a',
  'a_',
  'http://x.io/a',
  'user@x.io/a',
  'user:pw@x.io/a',
  '[::1/a',
  '[::1]x/a',
  '[fe80::1%25eth0]/a',
  'x.io:port/a',
  'x.io:/a',
  '-x.io/a',
  'x-.io/a',
  'a%2fb',
  'a?b',
  'a#b',
  'ä',
  'f'.repeat(64),
  'a'.repeat(100_000),
];

for (const text of refused) {
  test(`reference ${JSON.stringify(text.slice(0, 40))} is refused`, () => {
    assert.throws(() => parseFamiliar(text), { kind: 'invalid_argument' });
  });
}

test('a canonical reference needs a host', () => {
  assert.throws(() => parseReference('redis:7'), { kind: 'invalid_argument' });
});

test('familiar text is the shortest that reads back the same', () => {
  const shortest = ['redis:7', 'me/app', 'ghcr.io/a/b', 'localhost/a', `redis@${digest}`];
  for (const text of shortest) assert.equal(familiarReference(parseFamiliar(text)), text);
  assert.equal(familiarReference(parseFamiliar('docker.io/library/a/b')), 'library/a/b');
});

test('whatever is made of valid parts survives a round trip', () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}([._]|__|-{1,3})[a-z0-9]{1,8}$/);
  const domain = fc.constantFrom('quay.io', 'localhost:5000', '[::1]', '10.0.0.1:80', 'a-b.C', 'UPPER');
  const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined });
  const pinned = fc.constantFrom(digest, undefined);
  fc.assert(
    fc.property(domain, fc.array(part, { minLength: 1, maxLength: 4 }), tag, pinned, (d, parts, t, pin) => {
      const text = `${d}/${parts.join('/')}${t === undefined ? '' : `:${t}`}${pin === undefined ? '' : `@${pin}`}`;
      assert.equal(formatReference(parseFamiliar(text)), text);
      const again = parseFamiliar(familiarReference(parseFamiliar(text)));
      assert.deepEqual(again, parseFamiliar(text));
    }),
    { numRuns: 200 },
  );
});

test('any string is either refused or has a canonical form that is a fixed point', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'aZ0./:@_-[] \n'), maxLength: 30 }), (text) => {
      let canonical: string;
      try {
        canonical = normalizeReference(text);
      } catch (error) {
        assert.equal((error as { kind?: string }).kind, 'invalid_argument');
        return;
      }
      assert.equal(normalizeReference(canonical), canonical);
    }),
    { numRuns: 500 },
  );
});
