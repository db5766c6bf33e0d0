import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { fetchBlob } from '../../src/registry/blobs.ts';
import { Connections } from '../../src/registry/connections.ts';
import type { CredentialSource } from '../../src/registry/credentials.ts';
import { fetchManifest, resolve } from '../../src/registry/manifests.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import {
  always,
  digestOf,
  FlakyRegistry,
  firstTimes,
  ScriptedServer,
  sendBlob,
  sendError,
  tarOf,
} from '../kit/flaky-registry.ts';

const secret = 'c4nary-s3cret';
const known: CredentialSource = async () => ({ kind: 'basic', username: 'otto', password: secret });
const retry = { ...defaultRetry, attempts: 4, baseMs: 2, capMs: 8 };
const ctx = daemonContext(silentLog);
const bytes = randomBytes(300_000);

let registry: FlakyRegistry;
let connections: Connections;
let blob: Descriptor;
let manifest: Descriptor;
before(() => {
  connections = new Connections();
});
after(() => connections[Symbol.dispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  blob = registry.addBlob(bytes);
  manifest = registry.addImage('a/b', 'latest', [tarOf({ hello: 'world' })]);
});
afterEach(() => registry[Symbol.asyncDispose]());

const open = (credentials: CredentialSource = known, at = registry) =>
  RegistrySession.open(parseReference(`${at.host}/a/b:latest`), { connections, credentials, retry });

async function download(descriptor = blob, offset = 0, session?: RegistrySession): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of fetchBlob(ctx, session ?? (await open()), descriptor, offset)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const resolved = async () => (await resolve(ctx, await open())).descriptor;

describe('retries', () => {
  for (const status of [408, 429, 500, 502, 503, 504])
    test(`${status} is tried again until it passes`, async () => {
      registry.scripts.push(
        firstTimes(2, /HEAD/, (_, response) => sendError(response, status, 'BUSY', 'wait')),
      );
      assert.deepEqual(await resolved(), manifest);
    });

  test('an error that stays ends with its status, code and words, bounded in number', async () => {
    registry.scripts.push(always(/./, (_, response) => sendError(response, 503, 'DOWN', 'back\u0007 soon')));
    await assert.rejects(resolved(), { kind: 'unavailable', message: /answered 503$/ });
    await assert.rejects(download(), {
      kind: 'unavailable',
      message: /answered 503 \(DOWN: back {2}soon\)$/,
    });
    assert.equal(registry.seen.length, 2 * retry.attempts);
  });

  test('Retry-After is waited for, and not at all when it asks for an hour', async () => {
    const wait = (seconds: string) =>
      firstTimes(1, /HEAD/, (_, response) => response.writeHead(429, { 'retry-after': seconds }).end());
    registry.scripts.push(wait('1'));
    const start = performance.now();
    await resolved();
    assert.ok(performance.now() - start > 990);
    registry.scripts.push(wait('3600'));
    await assert.rejects(resolved(), { kind: 'unavailable', message: /answered 429/ });
    registry.scripts.push(wait(new Date(Date.now() + 86_400_000).toUTCString()));
    await assert.rejects(resolved(), { kind: 'unavailable' });
  });

  test('lasting refusals are not tried again', async () => {
    for (const [status, kind] of [
      [403, 'permission_denied'],
      [404, 'not_found'],
      [400, 'invalid_argument'],
    ] as const) {
      registry.scripts.unshift(always(/blobs/, (_, response) => sendError(response, status, 'NO', 'no')));
      await assert.rejects(download(), { kind });
    }
    assert.equal(registry.seen.length, 3);
  });

  test('36c4275ee: a failing manifest endpoint is never replaced by the blob endpoint', async () => {
    registry.blobs.set(manifest.digest, Buffer.from('{}'));
    registry.scripts.push(always(/manifests/, (_, response) => sendError(response, 500, 'NO', 'no')));
    await assert.rejects(fetchManifest(ctx, await open(), manifest), { kind: 'unavailable' });
    assert.ok(registry.paths().every((path) => !path.includes('/blobs/')));
  });

  test('a connection reset before an answer is tried again', async () => {
    registry.scripts.push(firstTimes(2, /HEAD/, (request) => request.socket.destroy()));
    assert.deepEqual(await resolved(), manifest);
  });
});

describe('manifests', () => {
  test('where HEAD is refused or says too little, GET answers', async () => {
    for (const script of [
      firstTimes(1, /HEAD/, (_, response) => response.writeHead(405).end()),
      firstTimes(1, /HEAD/, (_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end()),
      firstTimes(1, /HEAD/, (_, response) =>
        response
          .writeHead(200, { 'content-type': mediaTypes.ociManifest, 'docker-content-digest': 'sha256:x' })
          .end(),
      ),
    ]) {
      registry.scripts.unshift(script);
      assert.deepEqual(await resolved(), manifest);
    }
  });

  test('a digest header that lies is found out when the manifest is read', async () => {
    const lie = `sha256:${'1'.repeat(64)}`;
    registry.scripts.push(
      always(/HEAD/, (_, response) =>
        response
          .writeHead(200, {
            'content-type': manifest.mediaType,
            'docker-content-digest': lie,
            'content-length': manifest.size,
          })
          .end(),
      ),
    );
    const found = await resolved();
    registry.manifests.set(`a/b/${lie}`, registry.manifests.get('a/b/latest') ?? assert.fail());
    await assert.rejects(fetchManifest(ctx, await open(), found), {
      kind: 'failed_precondition',
      message: /have digest/,
    });
  });

  test('CVE-2020-1702: endless manifests and error bodies are cut off', async () => {
    const endless = (status: number) =>
      firstTimes(1, /GET/, (_, response) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        const chunk = Buffer.alloc(256 * 1024, 'x');
        const more = () => {
          while (!response.destroyed && response.write(chunk));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      });
    registry.scripts.push(
      firstTimes(2, /HEAD/, (_, response) => response.writeHead(405).end()),
      endless(200),
      endless(400),
    );
    await assert.rejects(resolved(), { kind: 'resource_exhausted', message: /larger than 8388608 bytes/ });
    await assert.rejects(resolved(), { kind: 'invalid_argument', message: /answered 400/ });
  });

  test('headers above the limit end the exchange', async () => {
    registry.scripts.push(
      always(/./, (_, response) => response.writeHead(200, { 'x-big': 'y'.repeat(80_000) }).end()),
    );
    await assert.rejects(resolved(), { kind: 'resource_exhausted', message: /headers above the limit/ });
  });

  test('schema 1 and documents that are no manifest are refused in clear words', async () => {
    const get = (document: unknown, type: string) => {
      registry.addManifest('a/b', 'latest', document, type);
      registry.scripts.unshift(firstTimes(1, /HEAD/, (_, response) => response.writeHead(405).end()));
      return resolved();
    };
    await assert.rejects(get({ schemaVersion: 1, fsLayers: [] }, mediaTypes.dockerSchema1Signed), {
      message: /schema 1/,
    });
    await assert.rejects(get('<html>', 'text/html'), { kind: 'invalid_argument', message: /not JSON/ });
    await assert.rejects(get({ schemaVersion: 2, manifests: [], layers: [] }, mediaTypes.ociIndex), {
      message: /ambiguous/,
    });
    await assert.rejects(get({ schemaVersion: 2, manifests: [] }, mediaTypes.ociManifest), {
      kind: 'invalid_argument',
    });
    assert.equal(
      (await get({ schemaVersion: 2, manifests: [] }, 'text/plain')).mediaType,
      mediaTypes.ociIndex,
    );
  });
});

describe('blobs', () => {
  test('a download that breaks goes on by Range from where it is', async () => {
    registry.scripts.push(
      firstTimes(3, /GET .*blobs/, (request, response) => {
        const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
        response.writeHead(start === 0 ? 200 : 206, {
          'content-length': bytes.length - start,
          etag: '"e"',
          ...(start > 0 && range),
        });
        response.write(bytes.subarray(start, start + 70_000), () =>
          setTimeout(() => request.socket.destroy(), 20),
        );
      }),
    );
    assert.equal(hash(await download()), hash(bytes));
    const ranges = registry.seen.map(({ headers }) => headers.range);
    assert.equal(ranges[0], undefined);
    assert.ok(
      ranges.length >= 4 && ranges.slice(1).every((range) => range !== undefined && range !== 'bytes=0-'),
    );
    assert.equal(registry.seen[1]?.headers['if-range'], '"e"');
  });

  test('a server that ignores Range is read from the start and what is here is skipped', async () => {
    registry.scripts.push(
      always(/blobs/, (_, response) =>
        response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
      ),
    );
    assert.equal(hash(await download(blob, 123_456)), hash(bytes.subarray(123_456)));
  });

  test('a body that ends early without saying so is continued', async () => {
    registry.scripts.push(
      firstTimes(1, /blobs/, (_, response) => {
        response.flushHeaders();
        response.end(bytes.subarray(0, 1000));
      }),
    );
    assert.equal(hash(await download()), hash(bytes));
  });

  test('a blob that is gzipped for the way is what is inside', async () => {
    registry.scripts.push(
      always(/blobs/, (_, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(bytes)),
      ),
    );
    assert.equal(hash(await download()), hash(bytes));
  });

  test('wrong lengths and ranges are refused without taking a byte too many', async () => {
    const table: [string, Record<string, string | number>, number, Uint8Array, number][] = [
      ['longer by its own word', { 'content-length': bytes.length + 1 }, 200, bytes, 0],
      ['shorter by its own word', { 'content-length': 10 }, 200, bytes.subarray(0, 10), 0],
      ['longer without a word', {}, 200, Buffer.concat([bytes, Buffer.from('x')]), 0],
      ['another range', { 'content-range': `bytes 0-9/${bytes.length}` }, 206, bytes.subarray(0, 10), 5],
      ['a range of another total', { 'content-range': 'bytes 5-9/10' }, 206, bytes.subarray(5, 10), 5],
      ['a range without a word', {}, 206, bytes.subarray(5), 5],
      ['an unknown encoding', { 'content-encoding': 'br' }, 200, bytes, 0],
      ['a bomb', { 'content-encoding': 'gzip' }, 200, gzipSync(Buffer.alloc(50_000_000)), 0],
    ];
    for (const [name, headers, status, body, offset] of table) {
      registry.scripts.unshift(
        firstTimes(1, /blobs/, (_, response) => response.writeHead(status, headers).end(body)),
      );
      await assert.rejects(download(blob, offset), { kind: 'failed_precondition' }, name);
    }
  });

  test('a download that never gets on gives up', async () => {
    registry.scripts.push(
      always(/blobs/, (request, response) => {
        response.writeHead(200, { 'content-length': bytes.length });
        response.flushHeaders();
        setTimeout(() => request.socket.destroy(), 5);
      }),
    );
    await assert.rejects(download(), { kind: 'unavailable' });
    assert.equal(registry.seen.length, retry.attempts);
  });

  test('a cancelled download ends at once', async () => {
    const stop = new AbortController();
    registry.scripts.push(
      always(/blobs/, (_, response) =>
        response.writeHead(200, { 'content-length': bytes.length }).flushHeaders(),
      ),
    );
    const running = (async () => {
      for await (const _ of fetchBlob({ ...ctx, signal: stop.signal }, await open(), blob));
    })();
    setTimeout(() => stop.abort(), 30);
    const start = performance.now();
    await assert.rejects(running, { name: 'AbortError' });
    assert.ok(performance.now() - start < 1000);
  });
});

describe('redirects', () => {
  const hasSecret = (server: ScriptedServer) =>
    server.transcript().includes(secret) ||
    server.transcript().includes(Buffer.from(`otto:${secret}`).toString('base64'));

  const basicOnly = always(/./, (request, response) => {
    if (request.headers.authorization !== undefined) return;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
  });

  /** Basic auth in front of everything. */
  function lock(): void {
    registry.scripts.unshift((request, response) =>
      request.headers.authorization === undefined ? basicOnly(request, response) : false,
    );
  }

  test('blobs behind a redirect to another origin are fetched, without credentials', async () => {
    await using store = await ScriptedServer.serve((request, response) => sendBlob(request, response, bytes));
    lock();
    registry.scripts.push(
      always(/blobs/, (_, response) => response.writeHead(307, { location: `${store.url}/x?sig=1` }).end()),
    );
    assert.equal(hash(await download()), hash(bytes));
    assert.ok(hasSecret(registry));
    assert.ok(!hasSecret(store));
    assert.equal(store.seen[0]?.headers.authorization, undefined);
  });

  for (const challenge of ['Basic realm="x"', 'Bearer realm="EVIL/token",service="s",scope="x"'])
    test(`PR 13894: a redirect target that asks for a login (${challenge.slice(0, 6)}) gets none`, async () => {
      await using evil = await ScriptedServer.serve((_, response) =>
        response.writeHead(401, { 'www-authenticate': challenge.replace('EVIL', evil.url) }).end(),
      );
      lock();
      registry.scripts.push(
        always(/blobs/, (_, response) => response.writeHead(302, { location: `${evil.url}/x` }).end()),
      );
      const asked: string[] = [];
      const session = await open(async (_, { host }) => {
        asked.push(host);
        return { kind: 'basic', username: 'otto', password: secret };
      });
      await assert.rejects(download(blob, 0, session), { kind: 'unauthenticated' });
      assert.deepEqual(asked, [registry.host]);
      assert.ok(!hasSecret(evil));
      assert.ok(evil.paths().every((path) => path === 'GET /x'));
    });

  test('credentials do not come back after a detour, and configured headers stay home too', async () => {
    await using detour = await ScriptedServer.serve((_, response) =>
      response.writeHead(302, { location: `${registry.url}/v2/back` }).end(),
    );
    registry.scripts.push(
      always(/blobs/, (_, response) => response.writeHead(302, { location: detour.url }).end()),
      always(/back/, (_, response) => response.writeHead(200).end(bytes)),
    );
    const session = await RegistrySession.open(parseReference(`${registry.host}/a/b:latest`), {
      connections,
      retry,
      credentials: known,
      headers: { 'x-secret': secret, cookie: secret, 'proxy-authorization': secret },
    });
    await download(blob, 0, session);
    assert.ok(!hasSecret(detour));
    const back = registry.seen.at(-1);
    assert.equal(back?.path, '/v2/back');
    assert.ok(!JSON.stringify(back).includes(secret));
  });

  test('redirects that loop, lead nowhere or to places nobody may send us are refused', async () => {
    const table: [string, string][] = [
      [`${registry.url}/v2/a/b/blobs/${blob.digest}`, 'resource_exhausted'],
      ['http://169.254.169.254/latest/meta-data', 'permission_denied'],
      ['http://[fe80::1]/', 'permission_denied'],
      ['file:///etc/passwd', 'permission_denied'],
      ['gopher://x/', 'permission_denied'],
      ['http://', 'unavailable'],
    ];
    for (const [location, kind] of table) {
      registry.scripts.length = 0;
      registry.scripts.push(always(/blobs/, (_, response) => response.writeHead(302, { location }).end()));
      await assert.rejects(download(), { kind }, location);
    }
  });

  test('a relative redirect at home keeps the login', async () => {
    lock();
    registry.scripts.push(
      always(/GET \/v2\/a\/b\/blobs/, (_, response) =>
        response.writeHead(307, { location: '../../../moved' }).end(),
      ),
      always(/moved/, (request, response) => sendBlob(request, response, bytes)),
    );
    assert.equal(hash(await download()), hash(bytes));
    assert.ok(registry.seen.at(-1)?.headers.authorization);
  });

  test('CVE-2020-15157: addresses of foreign layers never get credentials', async () => {
    for (const challenge of ['Basic realm="x"', 'Bearer realm="http://127.0.0.1/t"']) {
      await using evil = await ScriptedServer.serve((_, response) =>
        response.writeHead(401, { 'www-authenticate': challenge }).end(),
      );
      lock();
      const foreign = { ...blob, digest: digestOf(Buffer.from('foreign')), urls: [`${evil.url}/layer`] };
      await assert.rejects(download(foreign), { kind: 'unauthenticated' });
      assert.equal(evil.seen.length, 1);
      assert.ok(!hasSecret(evil));
      assert.equal(evil.seen[0]?.headers.authorization, undefined);
    }
  });

  test('a foreign layer is fetched from its address when the registry has it not', async () => {
    const layer = randomBytes(5000);
    await using store = await ScriptedServer.serve((request, response) => sendBlob(request, response, layer));
    const foreign = {
      ...blob,
      digest: digestOf(layer),
      size: layer.length,
      urls: ['ftp://x', `${store.url}/layer`],
    };
    assert.equal(hash(await download(foreign)), hash(layer));
  });
});

describe('logins', () => {
  /** A token server that wants Basic, and a registry that wants its token. */
  async function withTokens(answer: Record<string, unknown> = { token: 'good' }) {
    const server = await ScriptedServer.serve((_, response) => response.end(JSON.stringify(answer)));
    registry.scripts.unshift((request, response) => {
      if (request.headers.authorization === 'Bearer good') return false;
      const challenge = `Bearer realm="${server.url}/token",service="reg",scope="repository:a/b:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    });
    return server;
  }

  test('a token is fetched once with scope and service and used for everything', async () => {
    await using tokens = await withTokens();
    const session = await open();
    const { descriptor } = await resolve(ctx, session);
    await fetchManifest(ctx, session, descriptor);
    await Promise.all([1, 2, 3].map(() => download(blob, 0, session)));
    assert.deepEqual(tokens.paths(), ['GET /token?service=reg&scope=repository%3Aa%2Fb%3Apull']);
    const basic = `Basic ${Buffer.from(`otto:${secret}`).toString('base64')}`;
    assert.equal(tokens.seen[0]?.headers.authorization, basic);
  });

  test('without credentials the token is asked for anonymously', async () => {
    await using tokens = await withTokens({ access_token: 'good' });
    await resolve(ctx, await open(async () => undefined));
    assert.equal(tokens.seen[0]?.headers.authorization, undefined);
  });

  test('a refresh token is posted, and a header of its own is sent as it is', async () => {
    await using tokens = await withTokens();
    await resolve(ctx, await open(async () => ({ kind: 'refresh', token: secret })));
    const { method, body = '' } = tokens.seen[0] ?? {};
    const form = Object.fromEntries(new URLSearchParams(body));
    assert.deepEqual([method, form.grant_type, form.refresh_token], ['POST', 'refresh_token', secret]);
    await resolve(ctx, await open(async () => ({ kind: 'header', value: 'Bearer good' })));
    assert.equal(tokens.seen.length, 1);
  });

  test('a token that is refused later is replaced, once for all who wait', async () => {
    let issued = 0;
    await using tokens = await ScriptedServer.serve((_, response) =>
      response.end(`{"token":"t${++issued}"}`),
    );
    let accepted = 't1';
    registry.scripts.push((request, response) => {
      if (request.headers.authorization === `Bearer ${accepted}`) return false;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/t"` }).end();
      return true;
    });
    const session = await open();
    await resolve(ctx, session);
    accepted = 't2';
    await Promise.all([1, 2, 3, 4].map(() => resolve(ctx, session)));
    assert.equal(issued, 2);
  });

  test('a 401 that never ends is given up after a few tries', async () => {
    registry.scripts.push(
      always(/./, (_, response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()),
    );
    await assert.rejects(resolved(), { kind: 'unauthenticated' });
    assert.ok(registry.seen.length <= 6, String(registry.seen.length));
  });

  test('tokens that cannot be used, endless ones and token servers that redirect are errors, and leak nothing', async () => {
    const table: [(url: string) => Parameters<typeof ScriptedServer.serve>[0], string][] = [
      [() => (_, response) => response.end('{"token":"a\\r\\nx: y"}'), 'unavailable'],
      [() => (_, response) => response.end('{}'), 'unavailable'],
      [() => (_, response) => response.end(Buffer.alloc(2_000_000, 'x')), 'resource_exhausted'],
      [(url) => (_, response) => response.writeHead(302, { location: url }).end(), 'permission_denied'],
      [() => (_, response) => sendError(response, 401, 'UNAUTHORIZED', 'wrong password'), 'unauthenticated'],
    ];
    await using evil = await ScriptedServer.serve((_, response) => response.end('{"token":"good"}'));
    for (const [respond, kind] of table) {
      await using tokens = await ScriptedServer.serve(respond(evil.url));
      registry.scripts.length = 0;
      registry.scripts.push(
        always(/./, (_, response) =>
          response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/token"` }).end(),
        ),
      );
      await assert.rejects(resolved(), (error: Error & { kind?: string }) => {
        assert.equal(error.kind, kind);
        assert.ok(!String(error.message).includes(secret) && !String(error.stack).includes(secret));
        return true;
      });
    }
    assert.equal(evil.seen.length, 0);
  });

  test('CVE-2026-48978: a realm elsewhere in plain HTTP is refused before credentials are sent', async () => {
    registry.scripts.push(
      always(/./, (_, response) =>
        response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://10.0.0.1/t"' }).end(),
      ),
    );
    await assert.rejects(resolved(), {
      kind: 'permission_denied',
      message: /token server http:\/\/10\.0\.0\.1\/t .* refused/,
    });
  });
});
