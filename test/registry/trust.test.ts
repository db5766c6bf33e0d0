import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { fetchBlob } from '../../src/registry/blobs.ts';
import { Connections } from '../../src/registry/connections.ts';
import { resolve } from '../../src/registry/manifests.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import {
  always,
  FlakyRegistry,
  ScriptedServer,
  sendError,
  type TlsFiles,
  tarOf,
} from '../kit/flaky-registry.ts';
import { makeCertificate } from '../kit/registry.ts';

const ctx = daemonContext(silentLog);
const secret = 'c4nary-s3cret';
const retry = { ...defaultRetry, attempts: 2, baseMs: 1, capMs: 2 };
const root = mkdtempSync(join(tmpdir(), 'berth-trust-'));
const hostsDir = join(root, 'hosts');
let ours: TlsFiles;
let theirs: TlsFiles;
const connections = new Connections();

before(async () => {
  const certificate = async (name: string) => {
    mkdirSync(join(root, name));
    await makeCertificate(join(root, name));
    const read = (file: string) => readFileSync(join(root, name, file), 'utf8');
    return { cert: read('cert.pem'), key: read('key.pem') };
  };
  [ours, theirs] = await Promise.all([certificate('ours'), certificate('theirs')]);
});
after(() => {
  connections[Symbol.dispose]();
  rmSync(root, { recursive: true });
});
beforeEach(() => rmSync(hostsDir, { recursive: true, force: true }));

function configure(domain: string, text: string): void {
  mkdirSync(join(hostsDir, domain), { recursive: true });
  writeFileSync(join(hostsDir, domain, 'hosts.toml'), text);
}

const open = (reference: string) =>
  RegistrySession.open(parseReference(reference), {
    connections,
    retry,
    hostsDirs: [hostsDir],
    credentials: async () => ({ kind: 'basic', username: 'otto', password: secret }),
  });

const hasSecret = (server: ScriptedServer) =>
  server.seen.some(({ headers }) => headers.authorization !== undefined) ||
  server.transcript().includes(secret);

/** A TLS registry that the configuration trusts by its authority, and whose challenges name `realm`. */
async function secured(realm?: string): Promise<FlakyRegistry> {
  const registry = await FlakyRegistry.start(ours);
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  configure(registry.host, `server = "${registry.url}"\nca = "${join(root, 'ours/ca.pem')}"\n`);
  if (realm !== undefined)
    registry.scripts.push((request, response) => {
      if (request.headers.authorization === 'Bearer good') return false;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
      return true;
    });
  return registry;
}
const give = (_: unknown, response: { end(text: string): unknown }) => void response.end('{"token":"good"}');

describe('token servers of a TLS registry', () => {
  test('one with a certificate of the same authority gets the credentials, on another port and name', async () => {
    await using tokens = await ScriptedServer.serve(give, ours);
    await using registry = await secured(`https://localhost:${tokens.port}/token`);
    await resolve(ctx, await open(`${registry.host}/a:latest`));
    assert.ok(hasSecret(tokens));
  });

  test('CVE-2019-10214: one in plain HTTP or with a certificate of nobody we know gets nothing', async () => {
    await using plain = await ScriptedServer.serve(give);
    await using wrong = await ScriptedServer.serve(give, theirs);
    for (const [server, kind] of [
      [plain, 'permission_denied'],
      [wrong, 'failed_precondition'],
    ] as const) {
      await using registry = await secured(`${server.url}/token`);
      await assert.rejects(resolve(ctx, await open(`${registry.host}/a:latest`)), { kind });
      assert.equal(server.seen.length, 0);
    }
  });
});

test('CVE-2014-5277: https never leads to plain HTTP, by redirect or by failure', async () => {
  await using plain = await ScriptedServer.serve((_, response) => response.end('x'));
  await using registry = await secured();
  registry.scripts.push(
    always(/./, (_, response) => response.writeHead(302, { location: `${plain.url}/x` }).end()),
  );
  await assert.rejects(resolve(ctx, await open(`${registry.host}/a:latest`)), {
    kind: 'permission_denied',
    message: /https must not lead to http/,
  });
  await using untrusted = await FlakyRegistry.start(theirs);
  configure(untrusted.host, `server = "${untrusted.url}"`);
  await assert.rejects(resolve(ctx, await open(`${untrusted.host}/a:latest`)), {
    kind: 'failed_precondition',
  });
  configure(plain.host, `server = "https://${plain.host}"`);
  await assert.rejects(resolve(ctx, await open(`${plain.host}/a:latest`)), {
    message: /HTTP response to HTTPS client/,
  });
  assert.equal(plain.seen.length, 0);
});

test('skip_verify trusts that host and nothing it redirects to', async () => {
  await using other = await ScriptedServer.serve((_, response) => response.end('x'), theirs);
  await using registry = await FlakyRegistry.start(theirs);
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  configure(registry.host, `server = "${registry.url}"\nskip_verify = true`);
  const session = await open(`${registry.host}/a:latest`);
  const { descriptor } = await resolve(ctx, session);
  registry.scripts.push(
    always(/blobs/, (_, response) => response.writeHead(307, { location: other.url }).end()),
  );
  const blob = { ...descriptor, size: 1 };
  await assert.rejects(
    async () => {
      for await (const _ of fetchBlob(ctx, session, blob));
    },
    { kind: 'failed_precondition', message: /not trusted/ },
  );
  assert.equal(other.seen.length, 0);
});

describe('mirrors', () => {
  test('are asked in file order with ns, headers stay with their host, and the registry is the last resort', async () => {
    await using first = await FlakyRegistry.start();
    await using second = await FlakyRegistry.start();
    await using origin = await FlakyRegistry.start();
    const image = origin.addImage('a', 'latest', [tarOf({ a: 'a' })]);
    first.scripts.push(always(/./, (_, response) => sendError(response, 500, 'DOWN', 'down')));
    configure(
      'registry.example',
      `server = "${origin.url}"
[host."${first.url}"]
  header = { x-mirror = "${secret}" }
[host."${second.url}"]
  capabilities = ["pull"]
`,
    );
    const session = await open('registry.example/a:latest');
    assert.deepEqual((await resolve(ctx, session)).descriptor, image);
    assert.deepEqual(first.paths(), ['HEAD /v2/a/manifests/latest?ns=registry.example']);
    assert.deepEqual(second.paths(), []);
    const layer = [...origin.blobs.keys()][0] ?? assert.fail();
    const bytes = origin.blobs.get(layer) ?? assert.fail();
    second.blobs.set(layer, bytes);
    for await (const _ of fetchBlob(ctx, session, { ...image, digest: image.digest, size: 0 }));
    const chunks: Uint8Array[] = [];
    const descriptor = { mediaType: '', digest: layer as typeof image.digest, size: bytes.byteLength };
    for await (const chunk of fetchBlob(ctx, session, descriptor)) chunks.push(chunk);
    assert.deepEqual(Buffer.concat(chunks), Buffer.from(bytes));
    assert.deepEqual(second.paths(), [`GET /v2/a/blobs/${layer}?ns=registry.example`]);
    assert.ok(hasSecret(first));
    assert.ok(!hasSecret(second) && !hasSecret(origin));
  });

  test('a file is read again on each use', async () => {
    await using origin = await FlakyRegistry.start();
    origin.addImage('a', 'latest', [tarOf({ a: 'a' })]);
    configure('registry.example', 'server = "http://127.0.0.1:1"');
    await assert.rejects(resolve(ctx, await open('registry.example/a:latest')), { kind: 'unavailable' });
    configure('registry.example', `server = "${origin.url}"`);
    await resolve(ctx, await open('registry.example/a:latest'));
  });
});

test('a client certificate is shown to its own host, by hosts.toml and by certs.d, and to nobody else', async () => {
  const ca = readFileSync(join(root, 'ours/ca.pem'), 'utf8');
  const strict = { ...ours, ca, requestCert: true, rejectUnauthorized: true };
  await using registry = await FlakyRegistry.start(strict);
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  const reference = `${registry.host}/a:latest`;
  configure(registry.host, `server = "${registry.url}"\nca = "${join(root, 'ours/ca.pem')}"\n`);
  await assert.rejects(resolve(ctx, await open(reference)), { kind: 'unavailable' });
  const pair = `[["${join(root, 'ours/cert.pem')}", "${join(root, 'ours/key.pem')}"]]`;
  configure(
    registry.host,
    `server = "${registry.url}"\nca = "${join(root, 'ours/ca.pem')}"\nclient = ${pair}\n`,
  );
  await resolve(ctx, await open(reference));
  let shown: boolean | undefined;
  await using other = await ScriptedServer.serve(
    (request, response) => {
      shown =
        'getPeerCertificate' in request.socket &&
        Object.keys((request.socket as TLSSocket).getPeerCertificate()).length > 0;
      response.end('x');
    },
    { ...ours, ca, requestCert: true, rejectUnauthorized: false },
  );
  registry.scripts.push(
    always(/blobs/, (_, response) => response.writeHead(307, { location: other.url }).end()),
  );
  const session = await open(reference);
  const blob = { mediaType: '', digest: `sha256:${'0'.repeat(64)}` as Digest, size: 1 };
  const drain = async () => {
    for await (const _ of fetchBlob(ctx, session, blob));
  };
  await assert.rejects(drain(), { message: /not trusted/ }); // its CA counts for its own host only, too
  assert.equal(shown, undefined);
  rmSync(hostsDir, { recursive: true });
  const dir = join(hostsDir, registry.host);
  mkdirSync(dir, { recursive: true });
  for (const [from, to] of [
    ['ca.pem', 'ours.crt'],
    ['cert.pem', 'client.cert'],
    ['key.pem', 'client.key'],
  ] as const)
    copyFileSync(join(root, 'ours', from), join(dir, to));
  registry.scripts.length = 0;
  await resolve(ctx, await open(reference));
});
