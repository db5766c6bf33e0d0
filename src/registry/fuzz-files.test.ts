import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { BerthError } from '../errors/error.ts';
import { hostsFor } from './hosts.ts';
import { unionScopes } from './scopes.ts';
import { parseTags } from './tags.ts';
import { parseWarnings } from './warnings.ts';

const root = mkdtempSync(join(tmpdir(), 'berth-fuzz-'));
after(() => rmSync(root, { recursive: true }));
const file = join(root, 'r.example/hosts.toml');
mkdirSync(join(root, 'r.example'));
const runs = { numRuns: 300, seed: 20_261_122 };

const key = fc.constantFrom(
  'server',
  'capabilities',
  'ca',
  'client',
  'skip_verify',
  'override_path',
  'dial_timeout',
  'header',
  'host',
  'nothing',
);
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    'https://m.example',
    'http://127.0.0.1:5000/v2',
    'pull',
    '1s',
    '',
    '../../etc/shadow',
    '__proto__',
  ),
);
const value = fc.oneof(
  text.map((words) => JSON.stringify(words)),
  fc.constantFrom(
    'true',
    '1',
    '1979-05-27',
    '[]',
    '{}',
    '["pull", 1]',
    '[["a"]]',
    '[[["a"]]]',
    '{ a = "b" }',
    '"\\u0000"',
  ),
);
const line = fc.oneof(
  fc.tuple(key, value).map(([name, given]) => `${name} = ${given}`),
  text.map((words) => `[host.${JSON.stringify(words)}]`),
  fc.constantFrom('[host]', '[header]', '[[host]]', '[host."https://a".header]', '# x', '"', '[', '='),
  fc.string({ maxLength: 20 }),
);

test('any hosts.toml is read, or refused with the name of a file and a kind, and never mixes up where it leads', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
      writeFileSync(file, lines.join('\n'));
      try {
        for (const { scheme, authority, path } of await hostsFor('r.example', { hostsDirs: [root] })) {
          const url = new URL(`${scheme}://${authority}${path}`);
          assert.equal(url.host, new URL(`${scheme}://${authority}`).host);
          assert.ok(['http:', 'https:'].includes(url.protocol) && url.username === '' && url.search === '');
        }
      } catch (error) {
        assert.ok(error instanceof BerthError && error.kind === 'invalid_argument', String(error));
        assert.ok(error.message.includes(root) || error.message.includes('/'), error.message);
      }
    }),
    runs,
  );
});

test('any Warning header gives few, short, printable texts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom('299', ' - ', '"', '\\', ',', ' '), fc.string({ unit: 'binary' })), {
        maxLength: 60,
      }),
      (words) => {
        const texts = parseWarnings(words.join(''));
        assert.ok(texts.length <= 8);
        for (const one of texts) assert.match(one, /^[\x20-\x7e]{1,256}$/);
      },
    ),
    runs,
  );
});

test('a union of scopes asks for exactly what its parts ask for, whatever their order', () => {
  const scope = fc
    .tuple(fc.constantFrom('a', 'a/b', 'h:5000/c'), fc.subarray(['pull', 'push', 'delete'], { minLength: 1 }))
    .map(([path, actions]) => `repository:${path}:${actions.join(',')}`);
  const asked = (scopes: readonly string[]) =>
    new Set(
      scopes.flatMap((one) => {
        const at = one.lastIndexOf(':');
        return one
          .slice(at + 1)
          .split(',')
          .map((action) => `${one.slice(0, at)} ${action}`);
      }),
    );
  fc.assert(
    fc.property(fc.array(scope, { maxLength: 10 }), (scopes) => {
      const union = unionScopes(scopes);
      assert.deepEqual(asked(union), asked(scopes));
      assert.deepEqual(union, unionScopes(scopes.toReversed()));
      assert.deepEqual(union, unionScopes(union));
    }),
    runs,
  );
  assert.deepEqual(unionScopes(['registry:catalog:*', '', 'x', 'repository:a:push', 'repository:a:pull']), [
    'registry:catalog:*',
    'repository:a:pull,push',
    'x',
  ]);
});

test('any list of tags is read or refused, and holds tags only', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.array(fc.string()).map((tags) => JSON.stringify({ tags })),
      ),
      (body) => {
        try {
          for (const tag of parseTags(Buffer.from(body), 'tags')) assert.match(tag, /^\w[\w.-]{0,127}$/);
        } catch (error) {
          assert.ok(error instanceof BerthError && error.kind === 'invalid_argument');
        }
      },
    ),
    runs,
  );
});
