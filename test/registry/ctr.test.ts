import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { always, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { ctr1, ctr2 } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const login = { username: 'otto', password: 'c4nary-pass' };

describe('pulls by ctr', { skip: existsSync(ctr2) ? false : `${ctr2} is missing` }, () => {
  let daemon: TestDaemon;
  let registry: TestRegistry;
  let locked: TestRegistry;
  let secured: TestRegistry;
  const ctr = (...args: string[]) => run(ctr2, ['-a', daemon.address, ...args]);
  const ok = async (...args: string[]) => {
    const { status, stdout, stderr } = await ctr(...args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  before(async () => {
    [daemon, registry, locked, secured] = await Promise.all([
      startDaemon({ logLevel: 'trace' }),
      TestRegistry.start(),
      TestRegistry.start({ login }),
      TestRegistry.start({ tls: true }),
    ]);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    for (const each of [registry, locked, secured]) await each[Symbol.asyncDispose]();
  });

  test('ctr 2.3.4 pulls through Transfer, with progress, and finds image, content and snapshot as in containerd', async () => {
    const reference = await registry.pushBusybox();
    const shown = await ok('images', 'pull', reference);
    for (const word of [
      'Pulling from OCI Registry',
      'fetching image content',
      'manifest (',
      'layer (',
      'saved',
    ])
      assert.ok(shown.includes(word), word);
    assert.match(await ok('images', 'check'), /complete \(2\/2\).* true/);
    assert.match(await ok('images', 'ls'), /linux\/amd64/);
    assert.match(await ok('snapshots', 'ls'), /Committed/);
    assert.equal((await ok('leases', 'ls')).trim().split('\n').length, 1);
    await ok('images', 'tag', reference, 'example.test/x:1');
    assert.match(await ok('images', 'ls', '-q'), /example\.test\/x:1/);
    await ok('images', 'rm', '--sync', reference, 'example.test/x:1');
    assert.equal((await ok('content', 'ls', '-q')).trim(), '');
  });

  test('the old ways, where the client fetches by itself, work for both generations', async () => {
    const reference = await registry.pushBusybox('old');
    await ok('images', 'pull', '--local', '--plain-http', reference);
    await ok('images', 'rm', '--sync', reference);
    if (!existsSync(ctr1)) return;
    const { status, stderr } = await run(ctr1, [
      '-a',
      daemon.address,
      'images',
      'pull',
      '--plain-http',
      reference,
    ]);
    assert.equal(status, 0, stderr);
    assert.match(await ok('images', 'check'), /complete \(2\/2\).* true/);
  });

  test('credentials travel by the auth stream, and nothing of them is in the log', async () => {
    const reference = await locked.pushBusybox();
    await ok('images', 'pull', '-u', `${login.username}:${login.password}`, reference);
    const wrong = await ctr('images', 'pull', '-u', `${login.username}:${login.password}x`, reference);
    assert.notEqual(wrong.status, 0);
    assert.match(wrong.stderr, /answered 401/);
    const none = await ctr('images', 'pull', reference);
    assert.match(none.stderr, /answered 401/);
    const log = daemon.log();
    assert.ok(log.length > 0);
    for (const text of [
      login.password,
      Buffer.from(`${login.username}:${login.password}`).toString('base64'),
    ])
      assert.ok(!log.includes(text));
  });

  test('--http-dump shows requests and answers, and no secret', async () => {
    const reference = await locked.pushBusybox('dumped');
    const user = `${login.username}:${login.password}`;
    const { status, stderr: shown } = await ctr('images', 'pull', '--http-dump', '-u', user, reference);
    assert.equal(status, 0, shown);
    assert.match(shown, /> HEAD http:\/\/127\.0\.0\.1:\d+\/v2\/dumped\/manifests\/latest/);
    assert.match(shown, /< 401/);
    assert.match(shown, /< www-authenticate: Basic/);
    assert.match(shown, /> authorization: \(hidden\)/);
    assert.match(shown, /< 200/);
    assert.ok(!shown.includes(Buffer.from(user).toString('base64')) && !shown.includes(login.password));
  });

  test('a TLS registry is pulled from with its hosts directory', async () => {
    const reference = await secured.pushBusybox();
    await ok('images', 'pull', '--hosts-dir', secured.hostsDir(), reference);
  });

  test('images are pushed by both generations, through Transfer and the old way, and what came back is the same', async () => {
    const reference = await registry.pushBusybox('pushed');
    await ok('images', 'pull', reference);
    const digestOf = async (name: string) =>
      (await ok('images', 'ls', `name==${name}`)).match(/sha256:[0-9a-f]{64}/)?.[0];
    const original = await digestOf(reference);
    const user = ['-u', `${login.username}:${login.password}`];
    const shown = await ok('images', 'push', ...user, `${locked.host}/by/transfer:1`, reference);
    for (const word of ['Pushing to OCI Registry', 'push', 'layer (', 'manifest ('])
      assert.ok(shown.includes(word), word);
    await ok('images', 'push', '--local', '--plain-http', ...user, `${locked.host}/by/hand:1`, reference);
    const made = [`${locked.host}/by/transfer:1`, `${locked.host}/by/hand:1`];
    if (existsSync(ctr1)) {
      const old = `${locked.host}/by/old:1`;
      const args = ['-a', daemon.address, 'images', 'push', '--plain-http', ...user, old, reference];
      const { status, stderr } = await run(ctr1, args);
      assert.equal(status, 0, stderr);
      made.push(old);
    }
    for (const name of made) {
      await ok('images', 'pull', ...user, name);
      assert.equal(await digestOf(name), original, name);
    }
    const refused = await ctr('images', 'push', `${locked.host}/by/nobody:1`, reference);
    assert.match(refused.stderr, /answered 401.*a login is required/);
  });

  test('an unknown image, a registry that is down and a wrong platform fail in clear words', async () => {
    const unknown = await ctr('images', 'pull', `${registry.host}/nope:latest`);
    assert.match(unknown.stderr, /nope:latest: not found/);
    const down = await ctr('images', 'pull', '127.0.0.1:1/x:latest');
    assert.match(down.stderr, /cannot reach http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    const reference = await registry.pushBusybox('one');
    const other = await ctr('images', 'pull', '--platform', 'linux/s390x', reference);
    assert.match(other.stderr, /wanted linux\/s390x, available: linux\/amd64/);
  });

  test('a client that is killed in the middle of a pull ends it, and the next pull goes on', async () => {
    await using slow = await FlakyRegistry.start();
    slow.addImage('slow', 'latest', [tarOf({ big: randomBytes(100_000) })]);
    let closed = false;
    slow.scripts.push(
      always(/blobs\/.*/, (request, response) => {
        const bytes = slow.blobs.get(request.url?.split('/').at(-1) ?? '') ?? Buffer.alloc(0);
        if (bytes.length < 10_000) return void response.end(bytes);
        response.on('close', () => {
          closed = true;
        });
        response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 50_000));
      }),
    );
    const child = spawn(ctr2, ['-a', daemon.address, 'images', 'pull', `${slow.host}/slow:latest`], {
      stdio: 'ignore',
    });
    await until(
      () => slow.paths().filter((path) => path.includes('/blobs/')).length >= 2,
      'two blobs to be asked for',
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(() => closed, 'the connection to be closed');
    assert.ok(!(await ok('images', 'ls', '-q')).includes('slow'));
    slow.scripts.length = 0;
    await ok('images', 'pull', `${slow.host}/slow:latest`);
  });
});
