import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reachOf } from './address.ts';
import { parseChallenges } from './challenge.ts';
import { checkRealm, isForbidden } from './realm.ts';
import { parseToken } from './token.ts';

const parsed = (...headers: string[]) =>
  parseChallenges(headers).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test('a challenge is read with its parameters, quoted or not', () => {
  assert.deepEqual(
    parsed('Bearer realm="https://auth.example/token",service=reg , scope="repository:a/b:pull,push"'),
    [['bearer', { realm: 'https://auth.example/token', service: 'reg', scope: 'repository:a/b:pull,push' }]],
  );
});

test('several challenges in one header or several are all read', () => {
  const both = [
    ['basic', { realm: 'a "quoted" word' }],
    ['bearer', { realm: 'https://x' }],
  ];
  assert.deepEqual(parsed('Basic realm="a \\"quoted\\" word", Bearer realm="https://x"'), both);
  assert.deepEqual(parsed('Basic realm="a \\"quoted\\" word"', 'Bearer realm="https://x"'), both);
});

test('broken challenges end the list and never throw or hang', () => {
  for (const text of [
    '',
    ',,,',
    '=',
    'Bearer realm=',
    'Bearer realm="x',
    'Basic =a',
    '"',
    `Bearer ${'a=b,'.repeat(9999)}`,
  ])
    assert.ok(parseChallenges([text]).length <= 2, text.slice(0, 40));
});

test('a parameter that comes twice keeps its first value', () => {
  assert.deepEqual(parsed('Bearer realm="https://a",realm="https://b"'), [
    ['bearer', { realm: 'https://a' }],
  ]);
});

test('CVE-2026-48978, CVE-2019-10214: realms that secrets must not go to are refused', () => {
  const registry = 'https://registry.example';
  for (const realm of [
    'http://auth.example/token',
    'http://registry.example/token',
    'https://169.254.169.254/latest',
    'https://127.0.0.1/token',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://１２７.0.0.1/',
    'https://127。0。0。1/',
    'https://[::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://10.1.2.3/',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://0.0.0.0/',
    'https://localhost/',
    'https://user:secret@auth.example/',
    'ftp://auth.example/',
    'file:///etc/passwd',
    '/token',
    '',
  ])
    assert.throws(() => checkRealm(realm, registry), { kind: 'permission_denied' }, realm);
});

test('legitimate realms work: another https host, and plain HTTP where the registry is plain HTTP itself', () => {
  for (const [realm, registry] of [
    ['https://auth.docker.io/token', 'https://registry-1.docker.io'],
    ['https://registry.example/token', 'https://registry.example'],
    ['https://10.0.0.6/token', 'https://10.0.0.5'],
    ['https://auth.example/token', 'http://127.0.0.1:5000'],
    ['http://127.0.0.1:5001/token', 'http://127.0.0.1:5000'],
    ['http://localhost:5001/token', 'http://127.0.0.1:5000'],
    ['http://10.0.0.5:5001/token', 'http://10.0.0.5:5000'],
  ] as const)
    assert.equal(checkRealm(realm, registry).href, new URL(realm).href);
});

test('only loopback and link-local addresses are closed to redirects and layer addresses', () => {
  const registry = new URL('https://registry.example');
  for (const url of [
    'http://127.0.0.1/',
    'http://[::1]/',
    'http://169.254.169.254/',
    'http://localhost:2375/',
  ])
    assert.ok(isForbidden(new URL(url), registry), url);
  for (const url of ['https://cdn.example/', 'http://10.0.0.9/', 'https://192.168.0.2/'])
    assert.ok(!isForbidden(new URL(url), registry), url);
  assert.ok(!isForbidden(new URL('http://127.0.0.1:9000'), new URL('http://localhost:5000')));
});

test('reach is told by address, names count as public', () => {
  const table = {
    '127.8.9.1': 'loopback',
    '8.8.8.8': 'public',
    '100.64.1.1': 'private',
    'x.localhost': 'loopback',
  };
  for (const [host, reach] of Object.entries(table)) assert.equal(reachOf(host), reach, host);
  assert.equal(reachOf('[2606:4700::1]'), 'public');
});

test('a token answer is taken only when it can go into a header', () => {
  assert.deepEqual(parseToken('{"token":"abc","expires_in":300}'), { value: 'abc', lifetimeMs: 295_000 });
  for (const text of [
    '{"access_token":"abc"}',
    '{"token":"abc","expires_in":1}',
    '{"token":"abc","expires_in":-1}',
  ])
    assert.deepEqual(parseToken(text), { value: 'abc', lifetimeMs: 55_000 });
  for (const text of ['', '[]', 'null', '{}', '{"token":1}', '{"token":"a b"}', '{"token":"a\\r\\nX: y"}'])
    assert.equal(parseToken(text), undefined, text);
  assert.equal(parseToken(JSON.stringify({ token: 'x'.repeat(50_000) })), undefined);
  assert.equal(parseToken('{"token":"abc","expires_in":1e308}')?.lifetimeMs, 86_395_000);
});
