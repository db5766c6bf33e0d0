import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Credentials } from '../../src/client/registry-access.ts';
import { messageOf } from '../../src/errors/error.ts';
import { SecurityStage } from './stage.ts';

const secrets = {
  password: 'canary-password-7d1f',
  refresh: 'canary-refresh-7d1f',
  header: 'canary-header-7d1f',
  token: 'canary-token-7d1f',
  issued: 'canary-issued-7d1f',
};
const variable = 'canary-variable-7d1f';

let stage: SecurityStage;
const events: Buffer[] = [];
const errors: string[] = [];
const stop = new AbortController();
before(async () => {
  stage = await SecurityStage.open();
  stage.registry.scripts.push(askForToken);
  void (async () => {
    for await (const { event } of stage.berth.events.subscribe({ signal: stop.signal }))
      events.push(Buffer.from(event?.value ?? []));
  })().catch(() => {});
});
after(async () => {
  stop.abort();
  await stage[Symbol.asyncDispose]();
});

/** Bearer tokens by the registry itself; what is shown to it is right when it holds the word canary. */
function askForToken(
  request: Parameters<SecurityStage['registry']['scripts'][number]>[0],
  response: Parameters<SecurityStage['registry']['scripts'][number]>[1],
): boolean {
  const { url = '', headers } = request;
  const shown = headers.authorization ?? '';
  if (url.startsWith('/token')) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ token: secrets.token, refresh_token: secrets.issued, expires_in: 300 }));
    return true;
  }
  if (shown === `Bearer ${secrets.token}` || shown === `Basic ${secrets.header}`) return false;
  const challenge = `Bearer realm="${stage.registry.url}/token",service="x",scope="repository:x:pull"`;
  response.writeHead(401, { 'www-authenticate': challenge }).end();
  return true;
}

/** Every file below the daemon's directory that holds `text`, the database's rows of a container apart. */
function filesWith(text: string): string[] {
  return readdirSync(stage.daemon.dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(text));
}

const commandLines = (): string =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .join('\n');

const rows: readonly [name: string, credentials: Credentials][] = [
  ['a password', { username: 'otto', password: secrets.password }],
  ['a refresh token', { refreshToken: secrets.refresh }],
  ['a header', { header: `Basic ${secrets.header}` }],
];
for (const [name, credentials] of rows)
  test(`CVE-2019-13509: ${name} works and is in no log, event, error, command line or file`, async () => {
    const image = stage.image(`secret${name.length}`);
    const pull = (reference: string) =>
      stage.berth.images.pull(reference, { credentials: async () => credentials }).image();
    await pull(image);
    await assert.rejects(pull(image.replace(':x', ':none')), (error) => {
      errors.push(messageOf(error), String((error as Error).stack));
      return true;
    });
    assert.match(stage.registry.transcript(), /canary-/);
    for (const text of Object.values(secrets)) {
      const hidden = [text, Buffer.from(`otto:${text}`).toString('base64')];
      for (const form of hidden) {
        assert.deepEqual(filesWith(form), []);
        assert.ok(!Buffer.concat(events).includes(form));
        assert.ok(!errors.join('\n').includes(form));
        assert.ok(!commandLines().includes(form));
      }
    }
    assert.ok(events.length > 0);
  });

test('CVE-2019-13509: a registry nobody has credentials for is asked without any', async () => {
  await assert.rejects(stage.berth.images.pull(`${stage.registry.host}/secret10:none`).image());
  const asked = stage.registry.seen.filter(({ path }) => path.includes('secret10/manifests/none'));
  assert.deepEqual(
    asked.slice(-2).filter(({ headers }) => JSON.stringify(headers).includes('canary-password')),
    [],
  );
});

test('CVE-2019-13509: the environment of a container is in its record only, also when it cannot start', async () => {
  const { berth } = stage;
  const image = stage.image('variable');
  await berth.images
    .pull(image, { credentials: async () => ({ header: `Basic ${secrets.header}` }) })
    .image();
  const env = [`SECRET=${variable}`];
  for (const args of [['/bin/true'], ['/bin/nope'], ['/bin/sh', '-c', 'exit 3']]) {
    const { id } = await berth.containers.create({ image, args, env });
    try {
      const task = await berth.tasks.create(id);
      await task.start();
      await task.wait();
    } catch (error) {
      errors.push(messageOf(error));
    }
    await berth.containers.remove(id, { force: true });
  }
  await assert.rejects(berth.containers.create({ image, env: [...env, variable] }), (error) => {
    errors.push(messageOf(error));
    return true;
  });
  const logs = [stage.daemon.log(), readFileSync(join(stage.daemon.state, 's/shim.log'), 'utf8')];
  assert.ok(!logs.join('').includes(variable));
  assert.ok(!Buffer.concat(events).includes(variable));
  assert.ok(!commandLines().includes(variable));
  assert.ok(!errors.join('\n').includes(variable), errors.join('\n'));
});
