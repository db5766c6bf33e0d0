import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { checkLogin } from '../../src/registry/check-login.ts';
import { Connections } from '../../src/registry/connections.ts';
import { fetchManifest, resolve } from '../../src/registry/manifests.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import { listTags } from '../../src/registry/tags.ts';
import { always, FlakyRegistry, firstTimes, tarOf } from '../kit/flaky-registry.ts';

const ctx = daemonContext(silentLog);
const retry = { ...defaultRetry, attempts: 3, baseMs: 1, capMs: 4 };
const root = mkdtempSync(join(tmpdir(), 'berth-mirrors-'));
after(() => rmSync(root, { recursive: true }));
let connections: Connections;
let origin: FlakyRegistry;
let mirror: FlakyRegistry;
let image: Descriptor;
beforeEach(async () => {
  connections = new Connections();
  [origin, mirror] = await Promise.all([FlakyRegistry.start(), FlakyRegistry.start()]);
  for (const one of [origin, mirror]) image = one.addImage('a', 'latest', [tarOf({ a: 'a' })]);
});
afterEach(async () => {
  connections[Symbol.dispose]();
  for (const one of [origin, mirror]) await one[Symbol.asyncDispose]();
});

function configure(text: string): void {
  mkdirSync(join(root, 'registry.example'), { recursive: true });
  writeFileSync(join(root, 'registry.example/hosts.toml'), text);
}
const open = (reference = 'registry.example/a:latest') =>
  RegistrySession.open(parseReference(reference), { connections, retry, hostsDirs: [root] });
const pull = async () => {
  const session = await open();
  const { descriptor } = await resolve(ctx, session);
  return fetchManifest(ctx, session, descriptor);
};

/** Accepts connections and says nothing. */
class Silent implements AsyncDisposable {
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

test('a mirror that does not answer costs one timeout, however many pulls there are', async () => {
  await using silent = new Silent();
  const port = await silent.listen();
  configure(`server = "${origin.url}"\n[host."https://127.0.0.1:${port}"]\n dial_timeout = "200ms"\n`);
  await pull();
  await Promise.all([1, 2, 3, 4].map(pull));
  assert.equal(silent.connections, 1);
  assert.equal(origin.seen.length, 10);
});

test('a mirror that refuses connections is left alone, and the registry is asked instead', async () => {
  const { url } = mirror;
  await mirror[Symbol.asyncDispose]();
  configure(`server = "${origin.url}"\n[host."${url}"]\n`);
  await pull();
  assert.ok(!connections.health.isWorthATry(url));
  assert.equal(origin.seen.length, 2);
  mirror = await FlakyRegistry.start();
});

test('a mirror that asks for patience (429, Retry-After) is not asked again until then; the registry is', async () => {
  mirror.scripts.push(always(/./, (_, response) => response.writeHead(429, { 'retry-after': '120' }).end()));
  configure(`server = "${origin.url}"\n[host."${mirror.url}"]\n`);
  await pull();
  await pull();
  assert.equal(mirror.seen.length, 1);
  assert.equal(origin.seen.length, 4);
});

test('a registry that asks for patience gets it from every pull at once', async () => {
  origin.scripts.push(
    firstTimes(1, /HEAD/, (_, response) => response.writeHead(429, { 'retry-after': '1' }).end()),
  );
  configure(`server = "${origin.url}"`);
  const first = pull();
  while (connections.health.pauseMs(new URL(origin.url).origin) === 0) await new Promise(setImmediate);
  const asked = origin.seen.length;
  const second = pull();
  while (connections.health.pauseMs(new URL(origin.url).origin) > 0) {
    assert.equal(origin.seen.length, asked, 'nobody asks while the registry wants to be left alone');
    await new Promise((wake) => setTimeout(wake, 10));
  }
  assert.deepEqual(await first, await second);
});

test('a mirror that has not what is asked for, or other bytes, gives way to the registry', async () => {
  configure(`server = "${origin.url}"\n[host."${mirror.url}"]\n capabilities = ["pull"]\n`);
  for (const spoil of [
    () => mirror.manifests.clear(),
    () => mirror.manifests.set(`a/${image.digest}`, { bytes: Buffer.from('{}'), mediaType: image.mediaType }),
  ]) {
    spoil();
    assert.equal((await pull()).byteLength, image.size);
  }
  assert.equal(mirror.seen.length, 2);
});

test('tags come page by page, and only what is a tag', async () => {
  origin.scripts.push(
    firstTimes(1, /tags\/list\?ns/, (_, response) =>
      response
        .writeHead(200, { link: '</v2/a/tags/list?last=b>; rel="next"' })
        .end('{"name":"a","tags":["a","b","../x","","$(id)"]}'),
    ),
    firstTimes(1, /last=b&ns=/, (_, response) => response.end('{"name":"a","tags":null}')),
  );
  configure(`server = "${origin.url}"`);
  const found: string[] = [];
  for await (const page of listTags(ctx, await open())) found.push(...page);
  assert.deepEqual(found, ['a', 'b']);
});

test('CVE-2020-1702: lists of tags that never end, or are too large, are cut off', async () => {
  configure(`server = "${origin.url}"`);
  const drain = async () => {
    for await (const _ of listTags(ctx, await open()));
  };
  origin.scripts.push(
    always(/tags/, (request, response) =>
      response.writeHead(200, { link: `<${request.url}>; rel=next` }).end('{"tags":[]}'),
    ),
  );
  await assert.rejects(drain(), { kind: 'resource_exhausted', message: /more than 1000 pages/ });
  origin.scripts[0] = always(/tags/, (_, response) => response.end(`{"tags":["${'x'.repeat(5_000_000)}"]}`));
  await assert.rejects(drain(), { kind: 'resource_exhausted', message: /larger than/ });
  origin.scripts[0] = always(/tags/, (_, response) =>
    response.writeHead(200, { link: '<http://169.254.169.254/x>; rel="next"' }).end('{"tags":[]}'),
  );
  await assert.rejects(drain(), { kind: 'permission_denied' });
});

test('a login is checked at the registry itself, never at a mirror of it', async () => {
  origin.scripts.push(always(/GET \/v2\/\?/, (_, response) => response.end('{}')));
  configure(`server = "${origin.url}"\n[host."${mirror.url}"]\n`);
  const options = { connections, retry, hostsDirs: [root] };
  await checkLogin(ctx, await RegistrySession.open({ domain: 'registry.example', path: '' }, options));
  assert.deepEqual([origin.paths(), mirror.paths()], [['GET /v2/?ns=registry.example'], []]);
});
