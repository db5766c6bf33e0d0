import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { always, digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { TestRegistry } from '../kit/registry.ts';
import { Stage } from './stage.ts';

const login = { username: 'otto', password: 'c4nary pa:ss' };
let stage: Stage;
let locked: TestRegistry;
before(async () => {
  [stage, locked] = await Promise.all([Stage.open(), TestRegistry.start({ login })]);
  await stage.ok('pull', '-q', stage.image);
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await locked[Symbol.asyncDispose]();
});
const config = () => join(stage.daemon.dir, 'config.json');
const logIn = () =>
  stage.berth(['login', '-u', login.username, '--password-stdin', locked.host], {
    input: `${login.password}\n`,
  });

test('a login is checked, kept privately, used by push, pull, tags and copy, and forgotten', async () => {
  const refused = await stage.berth(['push', stage.image, `${locked.host}/a:1`]);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /answered 401.*a login is required.*\nhint: log in \(berth login HOST\)/);
  const { status, stdout, stderr } = await logIn();
  assert.deepEqual([status, stdout], [0, 'Login Succeeded\n'], stderr);
  assert.match(stderr, /kept by .*config\.json, not encrypted/);
  assert.equal(statSync(config()).mode & 0o777, 0o600);
  const pushed = await stage.ok('push', stage.image, `${locked.host}/a:1`);
  assert.match(pushed, /: complete \(/);
  assert.match(pushed, new RegExp(`\\n${locked.host}/a:1@sha256:[0-9a-f]{64}$`));
  assert.match(await stage.ok('push', '-q', stage.image, `${locked.host}/a:2`), /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual((await stage.ok('tags', `${locked.host}/a`)).split('\n').sort(), ['1', '2']);
  const copied = await stage.ok('copy', '--json', `${locked.host}/a:1`, `${locked.host}/b:1`);
  assert.deepEqual(JSON.parse(copied).Name, `${locked.host}/b:1`);
  await stage.ok('pull', '-q', `${locked.host}/b:1`);
  assert.equal(await stage.ok('referrers', '--json', `${locked.host}/b:1`), '');
  assert.equal(await stage.ok('logout', locked.host), `Removed the login for ${locked.host}`);
  assert.equal((await stage.berth(['pull', `${locked.host}/b:1`])).status, 1);
  assert.match((await stage.berth(['logout', locked.host])).stderr, /not logged in/);
});

test('a wrong password is not kept', async () => {
  rmSync(config(), { force: true });
  const { status, stderr } = await stage.berth(['login', '-u', 'otto', '-p', 'wrong', locked.host]);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /log in to .*answered 401.*the credentials were refused.*\nhint: check the name and the password/,
  );
  assert.throws(() => readFileSync(config()), { code: 'ENOENT' });
  const nowhere = await stage.berth(['login', '-u', 'otto', '-p', 'x', '127.0.0.1:1']);
  assert.match(nowhere.stderr, /cannot reach http:\/\/127\.0\.0\.1:1/);
});

test('what a registry warns of is shown on standard error, quiet or not', async () => {
  await using registry = await FlakyRegistry.start();
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  registry.scripts.push((_, response) => {
    response.setHeader('warning', '299 - "moves next week"');
    return false;
  });
  for (const quiet of [[], ['-q']]) {
    const { status, stdout, stderr } = await stage.berth(['pull', ...quiet, `${registry.host}/a`]);
    assert.equal(status, 0, stderr);
    assert.equal(stderr, `berth: warning: ${registry.host}: moves next week\n`);
    assert.ok(!stdout.includes('next week'));
  }
});

test('what refers to an image is listed with its type', async () => {
  await using registry = await FlakyRegistry.start();
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  const digest = digestOf(Buffer.from('signature'));
  const one = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: 9,
    artifactType: 'sig/v1',
  };
  registry.scripts.push(
    always(/referrers/, (_, response) =>
      response.end(JSON.stringify({ schemaVersion: 2, manifests: [one] })),
    ),
  );
  assert.match(
    await stage.ok('referrers', `${registry.host}/a`),
    new RegExp(`DIGEST.*\\n${digest} +sig/v1 +9`),
  );
  assert.equal(
    await stage.ok('referrers', '--type', 'other', '--format', '{{.Digest}}', `${registry.host}/a`),
    '',
  );
});

test('nothing of a login is in the log of the daemon', () => {
  const log = stage.daemon.log();
  for (const text of [login.password, Buffer.from(`${login.username}:${login.password}`).toString('base64')])
    assert.ok(!log.includes(text));
});
