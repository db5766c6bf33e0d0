import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { findCredentials } from './credentials.ts';
import { configFile } from './docker-config.ts';
import { dropLogin, keepLogin } from './logins.ts';

const root = mkdtempSync(join(tmpdir(), 'berth-logins-'));
after(() => rmSync(root, { recursive: true }));
let env: { DOCKER_CONFIG: string };
beforeEach(() => {
  env = { DOCKER_CONFIG: mkdtempSync(join(root, 'config-')) };
});
const login = { username: 'otto', password: 'pa:ss wörd' };
const file = () => configFile(env);
const content = () => JSON.parse(readFileSync(file(), 'utf8')) as Record<string, unknown>;

test('a login is kept as docker keeps it, readable by nobody else, and found again', async () => {
  rmSync(env.DOCKER_CONFIG, { recursive: true });
  await keepLogin('r.example:5000', login, env);
  assert.equal(statSync(file()).mode & 0o777, 0o600);
  assert.equal(statSync(env.DOCKER_CONFIG).mode & 0o777, 0o700);
  const auth = Buffer.from('otto:pa:ss wörd').toString('base64');
  assert.deepEqual(content(), { auths: { 'r.example:5000': { auth } } });
  assert.deepEqual(await findCredentials('r.example:5000', env), login);
  assert.equal(await findCredentials('r.example', env), undefined);
});

test('what else is in the file stays, a readable file becomes private, and a link stays a link', async () => {
  const real = join(root, 'real.json');
  writeFileSync(real, '{"psFormat":"x","auths":{"a.example":{"auth":"eDp5"}},"proxies":{"default":{}}}', {
    mode: 0o644,
  });
  symlinkSync(real, file());
  await keepLogin('docker.io', login, env);
  assert.equal(statSync(real).mode & 0o777, 0o600);
  const { auths, ...rest } = content();
  assert.deepEqual(rest, { psFormat: 'x', proxies: { default: {} } });
  assert.deepEqual(Object.keys(auths as object), ['a.example', 'https://index.docker.io/v1/']);
  assert.deepEqual(await findCredentials('registry-1.docker.io', env), login);
});

test('a logout forgets every spelling of that registry and nothing else', async () => {
  const auth = 'eDp5';
  writeFileSync(
    file(),
    JSON.stringify({
      auths: { 'docker.io': { auth }, 'https://index.docker.io/v1/': { auth }, b: { auth } },
    }),
  );
  assert.ok(await dropLogin('docker.io', env));
  assert.deepEqual(content(), { auths: { b: { auth } } });
  assert.ok(!(await dropLogin('docker.io', env)));
});

test('a file that is not JSON is refused and left as it is', async () => {
  writeFileSync(file(), '{ "auths": ');
  await assert.rejects(keepLogin('r.example', login, env), {
    kind: 'invalid_argument',
    message: /config\.json is not JSON/,
  });
  await assert.rejects(findCredentials('r.example', env), { kind: 'invalid_argument' });
  assert.equal(readFileSync(file(), 'utf8'), '{ "auths": ');
});

test('names such as __proto__ are hosts like any other', async () => {
  assert.equal(await findCredentials('__proto__', env), undefined);
  assert.equal(await findCredentials('constructor', env), undefined);
});

describe('credential helpers', () => {
  const path = process.env.PATH;
  const bin = join(root, 'bin');
  const kept = (server: string) => join(root, 'kept', Buffer.from(server).toString('hex'));
  before(() => {
    mkdirSync(bin);
    mkdirSync(join(root, 'kept'));
    const script = `#!/bin/sh
dir='${join(root, 'kept')}'
input=$(cat)
hex() { printf %s "$1" | od -An -tx1 -v | tr -d ' \\n'; }
case $1 in
get) f=$dir/$(hex "$input"); if [ -f "$f" ]; then cat "$f"; else echo credentials not found in native keychain; exit 1; fi ;;
store) server=$(printf %s "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); printf %s "$input" > "$dir/$(hex "$server")" ;;
erase) rm -f "$dir/$(hex "$input")" ;;
esac
`;
    writeFileSync(join(bin, 'docker-credential-test'), script, { mode: 0o755 });
    writeFileSync(join(bin, 'docker-credential-broken'), '#!/bin/sh\necho the keychain is locked\nexit 1\n', {
      mode: 0o755,
    });
    process.env.PATH = `${bin}:${path}`;
  });
  after(() => {
    process.env.PATH = path;
  });

  test('the one of a registry is asked before the one for all, and before the file', async () => {
    writeFileSync(file(), JSON.stringify({ credsStore: 'broken', credHelpers: { 'r.example': 'test' } }));
    const where = await keepLogin('r.example', login, env);
    assert.equal(where, 'docker-credential-test');
    assert.ok(!readFileSync(file(), 'utf8').includes('auth"'));
    assert.deepEqual(await findCredentials('r.example', env), login);
    await assert.rejects(findCredentials('other.example', env), {
      kind: 'unavailable',
      message: /the keychain is locked/,
    });
    assert.ok(await dropLogin('r.example', env));
    assert.equal(await findCredentials('r.example', env), undefined);
  });

  test('one that has nothing leaves it to the file, and a token is told from a password', async () => {
    const auth = Buffer.from('a:b').toString('base64');
    writeFileSync(file(), JSON.stringify({ credsStore: 'test', auths: { 'r.example': { auth } } }));
    assert.deepEqual(await findCredentials('r.example', env), { username: 'a', password: 'b' });
    writeFileSync(kept('r.example'), JSON.stringify({ Username: '<token>', Secret: 't0ken' }));
    assert.deepEqual(await findCredentials('r.example', env), { refreshToken: 't0ken' });
    rmSync(kept('r.example'));
  });

  test('one that is not installed, or is no name of a program, is told by name', async () => {
    const use = (name: string) => writeFileSync(file(), JSON.stringify({ credsStore: name }));
    use('absent');
    await assert.rejects(findCredentials('r.example', env), {
      kind: 'not_found',
      message: /docker-credential-absent: not found in PATH/,
    });
    for (const name of ['../x', 'a b', 'a/b', '-x']) {
      use(name);
      await assert.rejects(findCredentials('r.example', env), { kind: 'invalid_argument' });
    }
  });
});
