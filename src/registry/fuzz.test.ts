import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BerthError } from '../errors/error.ts';
import { reachOf } from './address.ts';
import { parseChallenges } from './challenge.ts';
import { parseDuration } from './hosts-file.ts';
import { checkRealm } from './realm.ts';
import { parseRetryAfter } from './retry.ts';
import { parseToken } from './token.ts';

const lexemes = fc.array(
  fc.oneof(
    fc.constantFrom(
      'Bearer',
      'Basic',
      'realm',
      'scope',
      '=',
      ',',
      ' ',
      '"',
      '\\',
      '\t',
      'https://a',
      '\u0000',
    ),
    fc.string({ maxLength: 8 }),
  ),
  { maxLength: 40 },
);

test('any WWW-Authenticate header is read without throwing, within its limits', () => {
  fc.assert(
    fc.property(lexemes, (words) => {
      const challenges = parseChallenges([words.join('')]);
      assert.ok(challenges.length <= 16 && challenges.every(({ parameters }) => parameters.size <= 32));
    }),
  );
});

test('what a challenge says comes back as it was quoted', () => {
  const key = fc.stringMatching(/^[a-z]{1,8}$/);
  fc.assert(
    fc.property(
      fc.dictionary(key, fc.string({ unit: 'grapheme-ascii' }), { minKeys: 1, maxKeys: 5 }),
      (values) => {
        const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;
        const header = Object.entries(values).map(([name, value]) => `${name}=${quote(value)}`);
        const [challenge] = parseChallenges([`Bearer ${header.join(', ')}`]);
        assert.deepEqual(Object.fromEntries(challenge?.parameters ?? []), { ...values });
      },
    ),
  );
});

test('a realm is a safe URL or refused as permission_denied, whatever it says', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.ipV4().map((ip) => `https://${ip}/`),
      ),
      (realm) => {
        try {
          const url = checkRealm(realm, 'https://registry.example');
          assert.ok(url.protocol === 'https:' && url.username === '' && reachOf(url.hostname) === 'public');
        } catch (error) {
          assert.ok(error instanceof BerthError && error.kind === 'permission_denied');
        }
      },
    ),
  );
});

test('any token answer, Retry-After and duration is read without throwing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      const token = parseToken(text);
      assert.ok(token === undefined || /^[\x21-\x7e]+$/.test(token.value));
      const pause = parseRetryAfter(text);
      assert.ok(pause === undefined || pause >= 0);
      const duration = parseDuration(text);
      assert.ok(duration === undefined || duration >= 1);
    }),
  );
});
