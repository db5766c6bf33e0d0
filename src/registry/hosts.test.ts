import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hostsFor } from './hosts.ts';
import { parseDuration } from './hosts-file.ts';

const root = mkdtempSync(join(tmpdir(), 'berth-hosts-'));
after(() => rmSync(root, { recursive: true }));
const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';

function folder(name: string, files: Record<string, string>): void {
  rmSync(join(root, name), { recursive: true, force: true });
  mkdirSync(join(root, name), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, name, file), text);
}
const urls = async (domain: string) =>
  (await hostsFor(domain, { hostsDirs: [root] })).map(
    ({ scheme, authority, path }) => `${scheme}://${authority}${path}`,
  );

test('without configuration https is spoken, plain HTTP only to loopback', async () => {
  const table = {
    'docker.io': 'https://registry-1.docker.io/v2',
    'quay.io': 'https://quay.io/v2',
    '10.0.0.1:5000': 'https://10.0.0.1:5000/v2',
    'localhost:5000': 'http://localhost:5000/v2',
    '127.0.0.1:5000': 'http://127.0.0.1:5000/v2',
    '[::1]:5000': 'http://[::1]:5000/v2',
    'localhost:443': 'https://localhost:443/v2',
  };
  for (const [domain, url] of Object.entries(table)) assert.deepEqual(await urls(domain), [url]);
  const [plain] = await hostsFor('quay.io', { defaultScheme: 'http' });
  assert.equal(plain?.scheme, 'http');
});

test('mirrors come in file order and the server last, each with its own settings', async () => {
  folder('docker.io', {
    'ca.pem': pem,
    'hosts.toml': `
server = "https://origin.example/base"
dial_timeout = "1m30s"
[host."https://mirror-z.example"]
  capabilities = ["pull"]
  ca = "ca.pem"
  [host."https://mirror-z.example".header]
    x-one = "a"
    x-two = ["b", "c"]
[host."http://1.example:5000/v2/upstream"]
  override_path = true
  skip_verify = true
  dial_timeout = "500ms"
`,
  });
  const hosts = await hostsFor('docker.io', { hostsDirs: [root] });
  assert.deepEqual(await urls('docker.io'), [
    'https://mirror-z.example/v2',
    'http://1.example:5000/v2/upstream',
    'https://origin.example/base/v2',
  ]);
  assert.deepEqual([...(hosts[0]?.capabilities ?? [])], ['pull']);
  assert.deepEqual(hosts[0]?.headers, { 'x-one': ['a'], 'x-two': ['b', 'c'] });
  assert.deepEqual([hosts[0]?.tls.ca, hosts[1]?.tls.skipVerify], [[pem], true]);
  assert.deepEqual([hosts[1]?.dialTimeoutMs, hosts[2]?.dialTimeoutMs], [500, 90_000]);
});

test('a host table for the server itself takes the place of the server for what it is capable of', async () => {
  folder('same.example', {
    'ca.pem': pem,
    'hosts.toml': `server = "https://same.example"\n[host."https://same.example"]\n capabilities = ["pull", "resolve"]\n ca = "ca.pem"`,
  });
  const hosts = await hostsFor('same.example', { hostsDirs: [root] });
  const settings = hosts.map(({ capabilities, tls }) => [[...capabilities].sort(), tls.ca.length]);
  assert.deepEqual(settings, [
    [['pull', 'resolve'], 1],
    [['push', 'referrers'], 0],
  ]);
});

test('folders are looked up as host_port_, host:port and _default, and read again on each use', async () => {
  folder('_default', { 'hosts.toml': '[host."https://any.example"]' });
  assert.deepEqual(await urls('one.example'), ['https://any.example/v2', 'https://one.example/v2']);
  folder('two.example:5000', { 'hosts.toml': 'server = "http://plain.example"' });
  assert.deepEqual(await urls('two.example:5000'), ['http://plain.example/v2']);
  folder('two.example_5000_', { 'hosts.toml': 'server = "http://other.example"' });
  assert.deepEqual(await urls('two.example:5000'), ['http://other.example/v2']);
  rmSync(join(root, '_default'), { recursive: true });
  assert.deepEqual(await urls('one.example'), ['https://one.example/v2']);
});

test("Docker's certs.d layout gives trust and speaks https, on loopback too", async () => {
  folder('127.0.0.1:5000', {
    'a.crt': pem,
    'c.cert': pem,
    'c.key': pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'),
  });
  const [host] = await hostsFor('127.0.0.1:5000', { hostsDirs: [root] });
  assert.deepEqual([host?.scheme, host?.tls.ca, host?.tls.client.length], ['https', [pem], 1]);
});

test('a bad file is refused with its name and line', async () => {
  const table: [string, RegExp][] = [
    ['server = ', /hosts\.toml:1: /],
    ['\n\nserver = 5', /hosts\.toml:3: server must be a string/],
    ['[host."https://a"]\ncapabilities = ["pull", "fly"]', /hosts\.toml:2: unknown capability "fly"/],
    ['[host."https://a b"]', /hosts\.toml:1: .*no host or URL/],
    ['[host."https://u:p@a"]', /hosts\.toml:1: .*must not carry a user/],
    ['\nskip_verify = "yes"', /hosts\.toml:2: skip_verify must be true or false/],
    ['dial_timeout = "soon"', /hosts\.toml:1: dial_timeout "soon"/],
    ['client = [["a", "b", "c"]]', /hosts\.toml:1: client must be/],
    ['ca = "absent.pem"', /absent\.pem: .*ENOENT/],
    ['ca = "hosts.toml"', /hosts\.toml: not a PEM file/],
    ['[header]\n"bad name" = "x"', /hosts\.toml:2: "bad name" is no header name/],
    ['host = "x"', /host must be a table/],
  ];
  for (const [text, message] of table) {
    folder('bad.example', { 'hosts.toml': text });
    await assert.rejects(hostsFor('bad.example', { hostsDirs: [root] }), {
      kind: 'invalid_argument',
      message,
    });
  }
});

test('durations are those of Go, bounded', () => {
  assert.deepEqual(['1s', '1.5s', '500ms', '1m30s'].map(parseDuration), [1000, 1500, 500, 90_000]);
  for (const text of ['', '5', '-1s', '0s', '9999h', '1 s'])
    assert.equal(parseDuration(text), undefined, text);
});

test('the first directory that has a folder for the host counts, whatever the others say', async () => {
  const [first, second] = [join(root, 'first'), join(root, 'second')];
  for (const [dir, server] of [
    [first, 'a'],
    [second, 'b'],
  ] as const) {
    mkdirSync(join(dir, 'both.example'), { recursive: true });
    writeFileSync(join(dir, 'both.example/hosts.toml'), `server = "https://${server}.example"`);
  }
  mkdirSync(join(second, 'late.example'));
  writeFileSync(join(second, 'late.example/hosts.toml'), 'server = "https://late.mirror"');
  const authority = async (domain: string) =>
    (await hostsFor(domain, { hostsDirs: [first, second] })).at(-1)?.authority;
  assert.deepEqual(
    [await authority('both.example'), await authority('late.example')],
    ['a.example', 'late.mirror'],
  );
});
