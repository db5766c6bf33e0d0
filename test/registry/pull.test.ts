import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Digest } from '../../src/oci/digest.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import type { TransferProgress } from '../../src/transfer/progress.ts';
import { pull } from '../../src/transfer/pull.ts';
import { tag } from '../../src/transfer/tag.ts';
import { ensureUnpacked } from '../../src/transfer/unpack.ts';
import { TestRegistry } from '../kit/registry.ts';
import { inventory, openStack, pullQuietly } from './stack.ts';

const login = { username: 'otto', password: 'pa:ss wörd' };
const unpack = [{ snapshotter: '', platform: { os: 'linux', architecture: 'amd64' } }];

describe('pulling from a real registry', () => {
  let plain: TestRegistry;
  let reference: string;
  before(async () => {
    plain = await TestRegistry.start();
    reference = await plain.pushBusybox();
  });
  after(() => plain[Symbol.asyncDispose]());

  test('a pull brings image, content with its labels, and snapshots, and leaves no lease or ingest', async () => {
    await using stack = await openStack();
    const seen: TransferProgress[] = [];
    for await (const step of pull(stack.parts, stack.ctx, { reference, unpack, labels: { a: 'b' } }))
      seen.push(step);
    const { metadata, ctx } = stack;
    const image = await metadata.images.get(ctx, reference);
    assert.deepEqual(image.labels, { a: 'b' });
    const manifest = await metadata.content.info(ctx, image.target.digest);
    const config = await metadata.content.info(
      ctx,
      manifest.labels['containerd.io/gc.ref.content.config'] as Digest,
    );
    const layer = await metadata.content.info(
      ctx,
      manifest.labels['containerd.io/gc.ref.content.l.0'] as Digest,
    );
    for (const { labels } of [manifest, config, layer])
      assert.equal(labels[`containerd.io/distribution.source.127.0.0.1`], 'busybox');
    const chainId = config.labels['containerd.io/gc.ref.snapshot.overlayfs'];
    assert.equal(layer.labels['containerd.io/uncompressed'], chainId);
    const left = await inventory(stack);
    assert.deepEqual([left.leases, left.ingests, left.snapshots], [0, [], [chainId]]);
    const phases = new Set(seen.map(({ phase }) => phase));
    for (const phase of [
      'resolving',
      'resolved',
      'waiting',
      'complete',
      'extracting',
      'extracted',
      'saved',
      'done',
    ])
      assert.ok(phases.has(phase as TransferProgress['phase']), phase);
  });

  test('what is unpacked is the file system of the image', async () => {
    await using stack = await openStack();
    await pullQuietly(stack.parts, stack.ctx, { reference, unpack });
    const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
    const [snapshot] = await snapshotter.list(stack.ctx);
    const view = await snapshotter.view(stack.ctx, 'look', snapshot?.name ?? '');
    await withTempMount(view, async (rootfs) => {
      assert.ok(statSync(join(rootfs, 'bin/busybox')).size > 1_000_000);
      assert.ok(readdirSync(join(rootfs, 'bin')).includes('sh'));
    });
  });

  test('nothing of a pulled image is garbage, and all of it is once the image is gone', async () => {
    await using stack = await openStack();
    await pullQuietly(stack.parts, stack.ctx, { reference, unpack });
    const before = await inventory(stack);
    await stack.metadata.gc.collectNow();
    assert.deepEqual(await inventory(stack), before);
    await stack.metadata.images.delete(stack.ctx, reference, { sync: true });
    assert.deepEqual(await inventory(stack), {
      images: [],
      blobs: [],
      ingests: [],
      leases: 0,
      snapshots: [],
    });
  });

  test('a second pull fetches and unpacks nothing', async () => {
    await using stack = await openStack();
    await pullQuietly(stack.parts, stack.ctx, { reference, unpack });
    const phases: string[] = [];
    for await (const { phase } of pull(stack.parts, stack.ctx, { reference, unpack })) phases.push(phase);
    assert.ok(phases.includes('exists'));
    for (const phase of ['downloading', 'complete', 'extracting']) assert.ok(!phases.includes(phase), phase);
  });

  test('ten pulls at once in one namespace and another share the work and all succeed', async () => {
    await using stack = await openStack();
    const other = { ...stack.ctx, namespace: 'other' };
    const pulls = Array.from({ length: 10 }, (_, i) =>
      pullQuietly(stack.parts, i % 3 === 0 ? other : stack.ctx, { reference, unpack }),
    );
    const digests = new Set((await Promise.all(pulls)).map(({ target }) => target.digest));
    assert.equal(digests.size, 1);
    assert.equal((await inventory(stack)).snapshots.length, 1);
  });

  test('an image that was only fetched is unpacked when a container wants it', async () => {
    await using stack = await openStack();
    const { target } = await pullQuietly(stack.parts, stack.ctx, { reference });
    assert.deepEqual((await inventory(stack)).snapshots, []);
    const chainId = await ensureUnpacked(stack.parts, stack.ctx, target);
    assert.deepEqual((await inventory(stack)).snapshots, [chainId]);
    assert.equal(await ensureUnpacked(stack.parts, stack.ctx, target), chainId);
  });

  test('a tag is another name for the same target', async () => {
    await using stack = await openStack();
    const { target } = await pullQuietly(stack.parts, stack.ctx, { reference });
    const tagged = await tag(stack.metadata.images, stack.ctx, reference, {
      name: 'here/mine:1',
      labels: {},
    });
    assert.equal(tagged.target.digest, target.digest);
    await assert.rejects(tag(stack.metadata.images, stack.ctx, 'no/such:1', { name: 'x/y:1', labels: {} }), {
      kind: 'not_found',
    });
  });

  test('a reference by digest is pulled by it', async () => {
    await using stack = await openStack();
    const { target } = await pullQuietly(stack.parts, stack.ctx, { reference });
    const byDigest = `${plain.host}/busybox@${target.digest}`;
    assert.equal((await pullQuietly(stack.parts, stack.ctx, { reference: byDigest })).name, byDigest);
  });

  test('an unknown image, an unknown repository and a digest nobody has are not found by name', async () => {
    await using stack = await openStack();
    const absent = `@sha256:${'0'.repeat(64)}`;
    for (const name of ['busybox:nope', 'no/such/thing:latest', `busybox${absent}`]) {
      const wanted = `${plain.host}/${name}`;
      await assert.rejects(pullQuietly(stack.parts, stack.ctx, { reference: wanted }), {
        kind: 'not_found',
        message: `failed to resolve image: ${wanted}: not found`,
      });
    }
    const left = await inventory(stack);
    assert.deepEqual([left.images, left.blobs, left.leases], [[], [], 0]);
  });

  test('a platform that is not there is an error that says which is', async () => {
    await using stack = await openStack();
    const platforms = [{ os: 'linux', architecture: 's390x' }];
    await assert.rejects(pullQuietly(stack.parts, stack.ctx, { reference, platforms }), {
      kind: 'not_found',
      message: /no match for platform in manifest: wanted linux\/s390x, available: linux\/amd64/,
    });
  });
});

test('a registry with Basic auth lets in who knows the password and says so to who does not', async () => {
  await using registry = await TestRegistry.start({ login });
  const reference = await registry.pushBusybox();
  await using stack = await openStack();
  const asked: string[] = [];
  const credentials =
    (password: string) =>
    async (_: unknown, { host }: { host: string }) => {
      asked.push(host);
      return { kind: 'basic', username: login.username, password } as const;
    };
  await pullQuietly(stack.parts, stack.ctx, { reference, unpack, credentials: credentials(login.password) });
  assert.deepEqual(asked, [registry.host]);
  const refusals = { 'a login is required': undefined, 'the credentials were refused': credentials('wrong') };
  for (const [words, given] of Object.entries(refusals)) {
    const request = { reference, ...(given !== undefined && { credentials: given }) };
    await assert.rejects(pullQuietly(stack.parts, stack.ctx, request), (error: Error & { kind?: string }) => {
      assert.equal(error.kind, 'unauthenticated');
      assert.match(error.message, /busybox:latest: 127\.0\.0\.1:\d+ answered 401/);
      assert.ok(error.message.endsWith(words), error.message);
      return true;
    });
  }
});

test('a registry with TLS is trusted by its authority and by nothing less', async () => {
  await using registry = await TestRegistry.start({ tls: true });
  const reference = await registry.pushBusybox();
  await using stack = await openStack();
  await pullQuietly(stack.parts, stack.ctx, { reference, unpack, hostsDir: registry.hostsDir() });
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, { reference, defaultScheme: 'https' }), {
    kind: 'failed_precondition',
    message: /certificate of https:\/\/127\.0\.0\.1:\d+ is not trusted/,
  });
});

test('a registry that is down is unavailable, and https is never answered by plain HTTP', async () => {
  await using registry = await TestRegistry.start();
  await using stack = await openStack();
  const reference = `${registry.host}/busybox:latest`;
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, { reference, defaultScheme: 'https' }), {
    message: /server gave HTTP response to HTTPS client/,
  });
  await registry.stop();
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, { reference }), {
    kind: 'unavailable',
    message: /cannot reach http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/,
  });
});
