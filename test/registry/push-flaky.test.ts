import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { Connections } from '../../src/registry/connections.ts';
import type { CredentialSource } from '../../src/registry/credentials.ts';
import { pushBlob } from '../../src/registry/push-blob.ts';
import { pushManifest } from '../../src/registry/push-manifest.ts';
import { listReferrers } from '../../src/registry/referrers.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import {
  always,
  digestOf,
  FlakyRegistry,
  firstTimes,
  type Script,
  ScriptedServer,
  sendError,
} from '../kit/flaky-registry.ts';

const ctx = daemonContext(silentLog);
const secret = 'c4nary-s3cret';
const known: CredentialSource = async () => ({ kind: 'basic', username: 'otto', password: secret });
const retry = { ...defaultRetry, attempts: 4, baseMs: 1, capMs: 4 };
const bytes = randomBytes(3_000_000);
const blob: Descriptor = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(bytes), size: bytes.length };

let registry: FlakyRegistry;
let connections: Connections;
let read: number[];
before(() => {
  connections = new Connections();
});
after(() => connections[Symbol.dispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  read = [];
});
afterEach(() => registry[Symbol.asyncDispose]());

const open = (at: { host: string } = registry) =>
  RegistrySession.open(parseReference(`${at.host}/a/b:latest`), {
    connections,
    credentials: known,
    retry,
    actions: 'pull,push',
  });

async function* slices(offset: number, end: number): AsyncGenerator<Uint8Array> {
  read.push(offset);
  for (let at = offset; at < end; at += 65_536) yield bytes.subarray(at, Math.min(end, at + 65_536));
}
const push = async (mountFrom: string[] = [], report?: (offset: number) => void) =>
  pushBlob(ctx, await open(), { descriptor: blob, read: slices, mountFrom, ...(report && { report }) });
const arrived = () => assert.deepEqual(registry.blobs.get(blob.digest), bytes);
const methods = () =>
  registry.seen.map(({ method, path }) => `${method}${path.includes('mount=') ? ' mount' : ''}`);

/** Takes `keep` bytes of an upload into the registry, then cuts the connection. */
const cutAfter =
  (keep: number) =>
  (request: IncomingMessage): void => {
    const id = /uploads\/([^?]+)/.exec(request.url ?? '')?.[1] ?? '';
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size < keep) return;
      const before = registry.uploads.open.get(id) ?? Buffer.alloc(0);
      if (!request.socket.destroyed)
        registry.uploads.open.set(id, Buffer.concat([before, ...chunks]).subarray(0, before.length + keep));
      request.socket.destroy();
    });
  };
const answer =
  (status: number, headers: Record<string, string> = {}) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, headers).end();

describe('blobs', () => {
  test('one that is there is not sent', async () => {
    registry.blobs.set(blob.digest, bytes);
    assert.equal(await push(), 'exists');
    assert.deepEqual(registry.paths(), [`HEAD /v2/a/b/blobs/${blob.digest}`]);
  });

  test('one that another repository lends is mounted with a token for both, not sent', async () => {
    const asked: string[] = [];
    await using tokens = await ScriptedServer.serve((request, response) => {
      asked.push(...new URL(request.url ?? '', 'http://x').searchParams.getAll('scope'));
      response.end(JSON.stringify({ token: `t${asked.length}` }));
    });
    registry.blobs.set(blob.digest, bytes);
    registry.uploads.lends.add('team/base');
    registry.scripts.push(
      (request, response) => {
        if (request.headers.authorization?.startsWith('Bearer ')) return false;
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/t",service="s"` }).end();
        return true;
      },
      always(/HEAD/, answer(404)),
    );
    assert.equal(await push(['team/base']), 'mounted');
    assert.deepEqual(asked, [
      'repository:a/b:pull,push',
      'repository:a/b:pull,push',
      'repository:team/base:pull',
    ]);
    assert.deepEqual(read, []);
  });

  test('where mounting is refused, in whatever way, the bytes are sent', async () => {
    const refusals: Script[] = [
      () => false, // 202: an upload instead
      firstTimes(1, /POST .*mount=/, answer(401)),
      firstTimes(1, /POST .*mount=/, answer(403)),
      firstTimes(1, /POST .*mount=/, answer(404)),
      firstTimes(1, /POST .*mount=/, answer(405)),
    ];
    for (const refusal of refusals) {
      registry.blobs.clear();
      registry.scripts.splice(0, 1, refusal);
      assert.equal(await push(['team/base']), 'uploaded');
      arrived();
    }
  });

  test('a blob goes in one piece, with its length, and progress ends at its size', async () => {
    const seen: number[] = [];
    assert.equal(await push([], (offset) => seen.push(offset)), 'uploaded');
    arrived();
    assert.deepEqual(methods(), ['HEAD', 'POST', 'PUT']);
    assert.equal(registry.seen.at(-1)?.headers['content-length'], String(bytes.length));
    assert.equal(seen.at(-1), bytes.length);
  });

  test('an upload that breaks goes on from where the registry is', async () => {
    registry.early.push(firstTimes(1, /PUT/, cutAfter(1_000_000)), firstTimes(1, /PATCH/, cutAfter(700_000)));
    assert.equal(await push(), 'uploaded');
    arrived();
    assert.deepEqual(read, [0, 1_000_000, 1_700_000]);
    assert.deepEqual(methods(), ['HEAD', 'POST', 'PUT', 'GET', 'PATCH', 'GET', 'PATCH', 'PUT']);
  });

  test('an upload that the registry has forgotten begins anew', async () => {
    registry.early.push(firstTimes(1, /PUT/, cutAfter(1_000_000)));
    registry.scripts.push(
      firstTimes(1, /GET/, () => {}),
      firstTimes(1, /x/, answer(404)),
    );
    registry.scripts[0] = firstTimes(1, /GET .*uploads/, (_, response) => {
      registry.uploads.open.clear();
      sendError(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'gone');
    });
    assert.equal(await push(), 'uploaded');
    arrived();
    assert.deepEqual(read, [0, 0]);
  });

  test('a body that is too large for a proxy goes in pieces, each from where the registry is', async () => {
    registry.early.push((request, response) => {
      if (Number(request.headers['content-length'] ?? 0) <= 1_600_000) return false;
      response.writeHead(413, { connection: 'close' }).end();
      request.resume();
      return true;
    });
    assert.equal(await push(), 'uploaded');
    arrived();
    assert.deepEqual(
      read.filter((offset) => offset > 0),
      [1_500_000],
    );
  });

  test('a registry that took less than was sent (416, a shorter Range) is believed', async () => {
    registry.early.push(firstTimes(1, /PUT/, cutAfter(500_000)));
    registry.scripts.push(
      firstTimes(1, /PATCH/, (request, response) => {
        const id = /uploads\/(.+)/.exec(request.url ?? '')?.[1] ?? '';
        registry.uploads.open.set(id, bytes.subarray(0, 800_000));
        response.writeHead(416, { location: request.url ?? '', range: '0-799999' }).end();
      }),
      firstTimes(1, /PATCH/, (request, response) => {
        const id = /uploads\/(.+)/.exec(request.url ?? '')?.[1] ?? '';
        registry.uploads.open.set(id, bytes.subarray(0, 900_000));
        response.writeHead(202, { location: request.url ?? '', range: '0-899999' }).end();
      }),
    );
    assert.equal(await push(), 'uploaded');
    arrived();
    assert.deepEqual(read, [0, 500_000, 800_000, 900_000]);
  });

  test('a registry that stores other bytes than were sent is found out', async () => {
    registry.scripts.push(
      always(/PUT/, answer(201, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` })),
    );
    await assert.rejects(push(), { kind: 'failed_precondition', message: /registry took it as sha256:0000/ });
  });

  test('statuses at each step: passing ones are tried again, lasting ones end with their error', async () => {
    const steps = { HEAD: /HEAD/, POST: /POST/, PUT: /PUT/ };
    for (const [step, pattern] of Object.entries(steps)) {
      for (const status of [408, 429, 500, 502, 503, 504]) {
        registry.blobs.clear();
        registry.scripts.splice(0, 1, firstTimes(1, pattern, answer(status)));
        assert.equal(await push(), 'uploaded', `${step} ${status}`);
      }
      const lasting = { 400: 'invalid_argument', 401: 'unauthenticated', 403: 'permission_denied' } as const;
      for (const [status, kind] of Object.entries(lasting)) {
        registry.blobs.clear();
        registry.scripts.splice(0, 1, always(pattern, answer(Number(status))));
        await assert.rejects(push(), { kind }, `${step} ${status}`);
      }
    }
    registry.scripts.splice(0, 1, always(/POST/, answer(404)));
    await assert.rejects(push(), { kind: 'not_found' });
  });

  test('a registry that never takes it is given up after the tries of the policy', async () => {
    registry.early.push(always(/PUT|PATCH/, (request) => void request.socket.destroy()));
    await assert.rejects(push(), { kind: 'unavailable', message: /cannot reach/ });
    assert.equal(methods().filter((method) => method === 'PUT').length, retry.attempts);
  });

  test('bytes that cannot be read end the push with their own error', async () => {
    const session = await open();
    const broken = async function* () {
      yield bytes.subarray(0, 1000);
      throw new Error('disk on fire');
    };
    await assert.rejects(pushBlob(ctx, session, { descriptor: blob, read: broken }), /disk on fire/);
  });

  test('CVE-2026-48978: an upload that is sent elsewhere takes no credentials along', async () => {
    await using other = await ScriptedServer.serve((_, response) => response.writeHead(201).end());
    registry.scripts.push(
      (request, response) => {
        if (request.headers.authorization !== undefined) return false;
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      },
      always(/POST/, answer(202, { location: `${other.url}/upload?x=1` })),
    );
    assert.equal(await push(), 'uploaded');
    assert.match(other.paths()[0] ?? '', /^PUT \/upload\?x=1&digest=sha256/);
    assert.ok(!other.transcript().includes('authorization') && !other.transcript().includes(secret));
    registry.scripts[1] = firstTimes(9, /PUT .*uploads/, answer(307, { location: `${other.url}/moved` }));
    assert.equal(await push(), 'uploaded');
    assert.equal(other.seen.at(-1)?.path, '/moved');
    assert.ok(!other.transcript().includes('authorization'));
  });

  test('CVE-2026-48978: an upload is never sent to link-local addresses, other schemes or nowhere', async () => {
    for (const location of ['http://169.254.169.254/latest', 'file:///etc/passwd', 'http://[fe80::1]/', '']) {
      registry.scripts.splice(0, 1, always(/POST/, answer(202, location === '' ? {} : { location })));
      await assert.rejects(push(), (error: { kind?: string }) =>
        ['permission_denied', 'unavailable'].includes(error.kind ?? ''),
      );
    }
    assert.deepEqual(read, []);
  });
});

describe('manifests', () => {
  const manifest = (extra: object = {}) => {
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: registry.addBlob(Buffer.from('{}'), mediaTypes.ociConfig),
      layers: [],
      ...extra,
    });
    const data = Buffer.from(text);
    const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(data), size: data.length };
    return { bytes: data, descriptor };
  };

  test('one is put under its tag, and not again while the tag names it', async () => {
    const one = manifest();
    assert.equal(await pushManifest(ctx, await open(), { ...one, tag: 'v1' }), 'uploaded');
    assert.equal(await pushManifest(ctx, await open(), { ...one, tag: 'v1' }), 'exists');
    assert.equal(await pushManifest(ctx, await open(), one), 'exists');
    const other = manifest({ annotations: { a: 'b' } });
    assert.equal(await pushManifest(ctx, await open(), { ...other, tag: 'v1' }), 'uploaded');
    assert.deepEqual(registry.manifests.get('a/b/v1')?.bytes, other.bytes);
  });

  test('a registry that refuses it, or takes it as something else, is believed', async () => {
    const one = manifest();
    registry.scripts.push(
      firstTimes(1, /PUT/, (_, response) => sendError(response, 400, 'MANIFEST_INVALID', 'no')),
    );
    await assert.rejects(pushManifest(ctx, await open(), one), {
      kind: 'invalid_argument',
      message: /MANIFEST_INVALID: no/,
    });
    registry.scripts.push(firstTimes(1, /PUT/, answer(201, { 'docker-content-digest': 'sha256:x' })));
    await assert.rejects(pushManifest(ctx, await open(), one), { kind: 'failed_precondition' });
    for (const status of [429, 500, 503]) {
      registry.scripts.push(firstTimes(2, /PUT/, answer(status)));
      registry.manifests.clear();
      assert.equal(await pushManifest(ctx, await open(), one), 'uploaded');
    }
  });

  for (const api of [true, false])
    test(`what refers to a manifest is found, with the referrers API ${api ? '' : 'missing: by the tag schema'}`, async () => {
      registry.uploads.knowsSubjects = api;
      const subject = manifest();
      await pushManifest(ctx, await open(), { ...subject, tag: 'v1' });
      const refer = (artifactType: string) =>
        manifest({ artifactType, subject: subject.descriptor, annotations: { k: artifactType } });
      const [signature, sbom] = [refer('sig/v1'), refer('sbom/v1')];
      for (const one of [signature, sbom, signature])
        await pushManifest(ctx, await open(), { ...one, subject: subject.descriptor });
      const session = await open();
      if (api) {
        const list = (digest: string) =>
          JSON.stringify({
            schemaVersion: 2,
            manifests: [{ ...signature.descriptor, digest, artifactType: 'sig/v1' }],
          });
        registry.scripts.push(
          firstTimes(1, /GET .*referrers/, (request, response) =>
            response
              .writeHead(200, { link: `<${request.url}?page=2>; rel="next"` })
              .end(list(signature.descriptor.digest)),
          ),
          always(/GET .*page=2/, (_, response) => response.end(list(sbom.descriptor.digest))),
        );
      }
      const found = await listReferrers(ctx, session, subject.descriptor.digest);
      assert.deepEqual(
        found.map(({ digest }) => digest),
        [signature.descriptor.digest, sbom.descriptor.digest],
      );
      if (!api) {
        assert.deepEqual(
          found.map((one) => [one.artifactType, one.annotations]),
          [
            ['sig/v1', { k: 'sig/v1' }],
            ['sbom/v1', { k: 'sbom/v1' }],
          ],
        );
        const some = await listReferrers(ctx, session, subject.descriptor.digest, 'sbom/v1');
        assert.equal(some.length, 1);
      }
    });

  test('nothing refers to it: an empty list; endless pages and other documents are refused', async () => {
    const digest = digestOf(Buffer.from('x'));
    assert.deepEqual(await listReferrers(ctx, await open(), digest), []);
    const index = '{"schemaVersion":2,"manifests":[]}';
    registry.scripts.push(
      always(/referrers/, (request, response) =>
        response.writeHead(200, { link: `<${request.url}>; rel="next"` }).end(index),
      ),
    );
    await assert.rejects(listReferrers(ctx, await open(), digest), { kind: 'resource_exhausted' });
    registry.scripts.unshift(always(/referrers/, (_, response) => response.end('<html>')));
    await assert.rejects(listReferrers(ctx, await open(), digest), { kind: 'invalid_argument' });
  });
});
