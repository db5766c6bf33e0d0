import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { dropStaleLeases } from '../../src/transfer/lease.ts';
import { transferParts } from '../../src/transfer/parts.ts';
import { type PullRequest, pull } from '../../src/transfer/pull.ts';
import { always, digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { inventory, openStack, pullQuietly, type Stack } from './stack.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };
const unpack = [{ snapshotter: '', platform: amd64 }];
const nothing = { images: [], leases: 0, snapshots: [], ingests: [] };
const tars = [tarOf({ a: 'base', gone: 'x' }), tarOf({ b: 'middle', '.wh.gone': '' }), tarOf({ c: 'top' })];

let registry: FlakyRegistry;
let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(() => stack[Symbol.asyncDispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await clear();
});

async function clear(): Promise<void> {
  const { images, ingests } = await inventory(stack);
  for (const name of images) await stack.metadata.images.delete(stack.ctx, name);
  for (const ref of ingests) await stack.metadata.content.abort(stack.ctx, ref);
  await stack.metadata.gc.collectNow();
}

const run = (request: Partial<PullRequest> = {}) =>
  pullQuietly(stack.parts, stack.ctx, { reference: `${registry.host}/x/y:latest`, unpack, ...request });

/** A refusal leaves no image, lease, snapshot or ingest, and the next pull of something sound works. */
async function refused(expected: object, request: Partial<PullRequest> = {}): Promise<void> {
  await assert.rejects(run(request), expected);
  const { images, leases, snapshots, ingests } = await inventory(stack);
  assert.deepEqual({ images, leases, snapshots, ingests }, nothing);
  registry.addImage('sound', 'latest', [tarOf({ sound: randomBytes(8).toString('hex') })]);
  await run({ reference: `${registry.host}/sound:latest` });
  await clear();
}

const spoil = (bytes: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

describe('bytes that are not what they are said to be', () => {
  test('one flipped byte of a layer is found and the bad bytes are dropped', async () => {
    registry.addImage('x/y', 'latest', tars);
    const { digest } = registry.addBlob(gzipSync(tars[1] ?? assert.fail()));
    const good = registry.blobs.get(digest) ?? assert.fail();
    registry.blobs.set(digest, spoil(good, good.length >> 1));
    await refused({ kind: 'failed_precondition' });
    registry.blobs.set(digest, good);
    await run();
  });

  test('one flipped byte of a manifest or config is found', async () => {
    const target = registry.addImage('x/y', 'latest', tars);
    const entry = registry.manifests.get(`x/y/${target.digest}`) ?? assert.fail();
    const spoiled = { ...entry, bytes: spoil(entry.bytes, 20) };
    registry.manifests.set(`x/y/${target.digest}`, spoiled);
    await refused({ kind: 'failed_precondition' });
  });

  for (const [name, change] of [
    ['larger', 1],
    ['smaller', -1],
  ] as const)
    test(`a layer that is ${name} than described is refused`, async () => {
      registry.addImage('x/y', 'latest', tars, {
        manifest: (layers) => ({ layers: layers.map((layer) => ({ ...layer, size: layer.size - change })) }),
      });
      await refused({
        kind: 'failed_precondition',
        message: /registry offers \d+ bytes, described with \d+/,
      });
    });

  test('CVE-2021-20291: a truncated gzip, random bytes and nothing at all end in seconds with an error, right digest or not', async () => {
    const tar = tarOf({ big: randomBytes(100_000) });
    for (const bytes of [
      gzipSync(tar).subarray(0, 50_000),
      randomBytes(5000),
      gzipSync(randomBytes(5000)),
      Buffer.alloc(0),
    ]) {
      registry.addImage('x/y', 'latest', [tar], { manifest: () => ({ layers: [registry.addBlob(bytes)] }) });
      const start = performance.now();
      await refused({ message: /layer sha256:|diff id/ });
      assert.ok(performance.now() - start < 5000);
    }
  });

  test('a layer that unpacks to another diff ID than the config says is data loss', async () => {
    registry.addImage('x/y', 'latest', tars, {
      config: {
        rootfs: {
          type: 'layers',
          diff_ids: [
            digestOf(tars[0] ?? assert.fail()),
            digestOf(Buffer.from('x')),
            digestOf(tars[2] ?? assert.fail()),
          ],
        },
      },
    });
    await assert.rejects(run(), { kind: 'data_loss', message: /wrong diff id/ });
    const left = await inventory(stack);
    assert.deepEqual([left.images, left.leases], [[], 0]);
    assert.ok(left.snapshots.every((name) => name === digestOf(tars[0] ?? assert.fail())));
  });

  test('a missing blob is not found, and a35da471f: no layer above it is committed', async () => {
    registry.addImage('x/y', 'latest', tars);
    registry.blobs.delete(digestOf(gzipSync(tars[1] ?? assert.fail())));
    await assert.rejects(run(), { kind: 'not_found', message: /blob sha256:[0-9a-f]{64}: not found/ });
    const left = await inventory(stack);
    assert.deepEqual([left.images, left.leases], [[], 0]);
    assert.ok(left.snapshots.length <= 1);
  });
});

describe('documents that make no sense', () => {
  const descriptors: [string, unknown][] = [
    ['empty digest', { digest: '' }],
    ['no hex', { digest: 'sha256:' }],
    ['63 digits', { digest: `sha256:${'a'.repeat(63)}` }],
    ['upper case', { digest: `sha256:${'A'.repeat(64)}` }],
    ['climbing', { digest: 'sha256:../../../../etc/passwd' }],
    ['md5', { digest: `md5:${'a'.repeat(32)}` }],
    ['number', { digest: 5 }],
    ['null', { digest: null }],
    ['array', { digest: [] }],
    ['size -1', { size: -1 }],
    ['size text', { size: '5' }],
    ['size 2^63', { size: 2 ** 63 }],
  ];
  for (const [name, change] of descriptors)
    test(`CVE-2026-95839: a layer or config descriptor with ${name} is invalid`, async () => {
      const spoiled = (layer: Descriptor | undefined) => ({ ...layer, ...(change as object) });
      registry.addImage('x/y', 'latest', tars, {
        manifest: ([first, ...rest]) => ({ layers: [spoiled(first), ...rest] }),
      });
      await refused({ kind: 'invalid_argument' });
      registry.addImage('x/y', 'latest', tars, { manifest: ([first]) => ({ config: spoiled(first) }) });
      await refused({ kind: 'invalid_argument' });
    });

  test('CVE-2024-36620: a config that is not JSON, not an object, or counts other layers is invalid', async () => {
    for (const change of [
      { configText: 'not json' },
      { configText: '[]' },
      { configText: '{"rootfs":{"diff_ids":[]},"rootfs":{}}' },
      { config: { rootfs: { type: 'layers', diff_ids: [] } } },
      { config: { rootfs: { type: 'layers', diff_ids: ['sha256:x'] } } },
    ]) {
      registry.addImage('x/y', 'latest', tars, change);
      await refused({ kind: 'invalid_argument' });
    }
  });

  test('a manifest that is no container image is refused for unpacking and can be fetched', async () => {
    const config = registry.addBlob(Buffer.from('{}'), 'application/vnd.cncf.helm.config.v1+json');
    const layers = [
      registry.addBlob(Buffer.from('chart'), 'application/vnd.cncf.helm.chart.content.v1.tar+gzip'),
    ];
    registry.addManifest('x/y', 'latest', {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers,
    });
    await refused({
      kind: 'invalid_argument',
      message: /not a container image but "application\/vnd\.cncf\.helm/,
    });
    await run({ unpack: [] });
  });

  test('security.md §1.7: an index in itself eight times over is fine, deeper is not', async () => {
    const image = registry.addImage('x/y', 'inner', tars);
    let child: Descriptor = { ...image, platform: amd64 };
    const nest = (times: number) => {
      for (let i = 0; i < times; i++)
        child = registry.addManifest(
          'x/y',
          'latest',
          { schemaVersion: 2, manifests: [child] },
          mediaTypes.ociIndex,
        );
    };
    nest(8);
    await run();
    nest(1);
    await assert.rejects(run(), { kind: 'invalid_argument', message: /nested deeper than 8/ });
  });
});

describe('platforms', () => {
  const entry = (architecture: string, variant?: string) => {
    const config = { architecture, variant };
    const image = registry.addImage(
      'x/y',
      architecture,
      [tarOf({ arch: `${architecture}${variant ?? ''}` })],
      { config },
    );
    return { ...image, platform: { os: 'linux', architecture, ...(variant !== undefined && { variant }) } };
  };
  const index = (manifests: unknown[]) =>
    registry.addManifest(
      'x/y',
      'latest',
      { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
      mediaTypes.ociIndex,
    );
  const fetched = () =>
    registry.paths().filter((path) => path.startsWith('GET') && path.includes('/manifests/'));

  test('only what is wanted is fetched, and an attestation beside it is no obstacle', async () => {
    const [wanted, other] = [entry('amd64'), entry('arm64')];
    const attestation = { ...entry('s390x'), platform: { os: 'unknown', architecture: 'unknown' } };
    index([other, attestation, wanted]);
    await run();
    assert.equal(fetched().length, 2);
    await run({ allMetadata: true });
    assert.equal(fetched().length, 4);
  });

  test('the best variant is chosen', async () => {
    index([entry('arm', 'v5'), entry('arm', 'v7'), entry('arm', 'v6')]);
    const v6 = { os: 'linux', architecture: 'arm', variant: 'v6' };
    await run({ platforms: [v6], unpack: [{ snapshotter: '', platform: v6 }] });
    assert.deepEqual((await inventory(stack)).snapshots, [digestOf(tarOf({ arch: 'armv6' }))]);
  });

  test('a missing platform says which there are', async () => {
    index([entry('arm64'), entry('s390x')]);
    await refused({
      kind: 'not_found',
      message: /wanted linux\/amd64, available: linux\/arm64, linux\/s390x/,
    });
  });

  test('what declares no platform is chosen by its config', async () => {
    const strip = ({ platform: _, ...rest }: { platform: unknown }) => rest;
    index([strip(entry('arm64')), strip(entry('amd64'))]);
    await run();
    assert.deepEqual((await inventory(stack)).snapshots, [digestOf(tarOf({ arch: 'amd64' }))]);
  });

  test('all platforms are fetched when all are asked for', async () => {
    index([entry('amd64'), entry('arm64')]);
    await run({ platforms: 'all', unpack: [] });
    assert.equal(registry.paths().filter((path) => path.includes('/blobs/')).length, 4);
  });
});

describe('unpacking', () => {
  test('layers are stacked in order, whiteouts included', async () => {
    registry.addImage('x/y', 'latest', tars);
    await run();
    const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
    const chain = await snapshotter.list(stack.ctx);
    assert.equal(chain.length, 3);
    assert.deepEqual(
      chain.filter(({ parent }) => parent === '').map(({ name }) => name),
      [digestOf(tars[0] ?? assert.fail())],
    );
    const top = chain.find(({ name }) => chain.every(({ parent }) => parent !== name));
    const [view] = await snapshotter.view(stack.ctx, 'look', top?.name ?? '');
    const lower = view?.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length);
    const kinds = (lower ?? '').split(':').flatMap((directory) => {
      const path = join(directory, 'gone');
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? [] : [stat.isCharacterDevice() ? 'whiteout' : 'file'];
    });
    assert.deepEqual(kinds.sort(), ['file', 'whiteout']);
  });

  test('a hundred layers, some twice, unpack', async () => {
    const many = Array.from({ length: 100 }, (_, i) => tarOf({ [`f${i % 40}`]: String(i % 40) }));
    registry.addImage('x/y', 'latest', many);
    await run();
    assert.equal((await inventory(stack)).snapshots.length, 100);
  });

  test('layers that lean on lower ones get their hard links and the modes of directories they do not describe', async () => {
    const layers = [
      tarOf({ 'd/': '', 'd/a': 'one' }),
      tarOf({ x: 'x' }),
      tarOf({ 'd/b': 'two', 'd/c': { link: 'd/a' } }),
    ];
    registry.addImage('x/y', 'latest', layers);
    await run();
    const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
    const top = (await snapshotter.list(stack.ctx)).find(({ name }, _, all) =>
      all.every(({ parent }) => parent !== name),
    );
    const [view] = await snapshotter.view(stack.ctx, 'look', top?.name ?? '');
    const upper =
      (view?.options.find((option) => option.startsWith('lowerdir=')) ?? '').slice(9).split(':')[0] ?? '';
    await snapshotter.remove(stack.ctx, 'look');
    assert.equal(statSync(join(upper, 'd')).mode & 0o777, 0o700);
    assert.deepEqual([statSync(join(upper, 'd/c')).size, statSync(join(upper, 'd/c')).nlink], [3, 2]);
    assert.equal((await inventory(stack)).snapshots.length, 3);
  });

  test('an image without layers is recorded', async () => {
    registry.addImage('x/y', 'latest', []);
    await run();
    assert.deepEqual((await inventory(stack)).snapshots, []);
  });
});

describe('interruptions', () => {
  const big = tarOf({ big: randomBytes(3_000_000) });

  test('a cancelled pull ends within a second, leaves nothing half-made, and the next one goes on where it was', async () => {
    registry.addImage('x/y', 'latest', [big]);
    const { digest, size } = registry.addBlob(gzipSync(big));
    const bytes = registry.blobs.get(digest) ?? assert.fail();
    registry.scripts.push(
      always(/blobs/, (request, response) => {
        if (!request.url?.includes(digest))
          return void response.end(registry.blobs.get(request.url?.split('/').at(-1) ?? ''));
        response.writeHead(200, { 'content-length': size });
        response.write(bytes.subarray(0, 1_000_000));
      }),
    );
    const stop = new AbortController();
    const running = pullQuietly(
      stack.parts,
      { ...stack.ctx, signal: stop.signal },
      { reference: `${registry.host}/x/y:latest`, unpack },
    );
    running.catch(() => {});
    const ref = `layer-${digest}`;
    while (
      ((await stack.metadata.content.status(stack.ctx, ref).catch(() => undefined))?.offset ?? 0) < 1_000_000
    )
      await sleep(10);
    const start = performance.now();
    stop.abort();
    await assert.rejects(running);
    assert.ok(performance.now() - start < 1000);
    const left = await inventory(stack);
    assert.deepEqual([left.images, left.leases, left.snapshots, left.ingests], [[], 0, [], [ref]]);
    await stack.metadata.gc.collectNow();
    registry.scripts.length = 0;
    await run();
    assert.ok(
      registry.seen.some(({ path, headers }) => path.includes(digest) && headers.range === 'bytes=1000000-'),
    );
  });

  test('a blob that many pulls in several namespaces want is downloaded once, whoever of them goes away', async () => {
    registry.addImage('x/y', 'latest', [big]);
    const { digest } = registry.addBlob(gzipSync(big));
    const held: (() => void)[] = [];
    registry.scripts.push(
      always(new RegExp(`GET .*${digest}`), (_request, response) => {
        response.write(registry.blobs.get(digest)?.subarray(0, 100_000));
        held.push(() => response.end(registry.blobs.get(digest)?.subarray(100_000)));
      }),
    );
    const stops = Array.from({ length: 6 }, () => new AbortController());
    const heard = stops.map(() => 0);
    const pulls = stops.map(async ({ signal }, i) => {
      const ctx = { ...stack.ctx, signal, namespace: i % 2 === 0 ? 'test' : 'other' };
      const reference = `${registry.host}/x/y:latest`;
      for await (const { phase, name } of pull(stack.parts, ctx, { reference, unpack }))
        if (phase === 'downloading' && name.includes(digest)) heard[i] = (heard[i] ?? 0) + 1;
    });
    for (const pulling of pulls) pulling.catch(() => {});
    while (heard.includes(0)) await sleep(5);
    // The one that started it among them.
    for (const i of [0, 1, 2]) stops[i]?.abort();
    for (const i of [0, 1, 2]) await assert.rejects(pulls[i] ?? assert.fail());
    for (const release of held) release();
    await Promise.all(pulls.slice(3));
    const fetched = registry.paths().filter((path) => path.startsWith('GET') && path.includes(digest));
    assert.equal(fetched.length, 1);
    for (const { name } of await stack.metadata.images.list({ ...stack.ctx, namespace: 'other' }))
      await stack.metadata.images.delete({ ...stack.ctx, namespace: 'other' }, name);
  });

  test('one that fails for lack of credentials does not fail those who have them', async () => {
    registry.addImage('x/y', 'latest', [big]);
    const { digest } = registry.addBlob(gzipSync(big));
    const refuse: (() => void)[] = [];
    registry.scripts.push((request, response) => {
      if (!request.url?.includes(digest) || request.headers.authorization !== undefined) return false;
      refuse.push(() => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end());
      return true;
    });
    const request = { reference: `${registry.host}/x/y:latest`, unpack };
    const stranger = pullQuietly(stack.parts, stack.ctx, request);
    stranger.catch(() => {});
    while (refuse.length === 0) await sleep(5);
    const authorization = `Basic ${Buffer.from('u:p').toString('base64')}`;
    let waits = false;
    const steps = pull(
      stack.parts,
      { ...stack.ctx, namespace: 'other' },
      { ...request, headers: { authorization } },
    );
    const known = (async () => {
      for await (const { phase, name } of steps) waits ||= phase === 'waiting' && name.includes(digest);
    })();
    while (!waits) await sleep(5);
    refuse[0]?.();
    await assert.rejects(stranger, { kind: 'unauthenticated' });
    await known;
    for (const { name } of await stack.metadata.images.list({ ...stack.ctx, namespace: 'other' }))
      await stack.metadata.images.delete({ ...stack.ctx, namespace: 'other' }, name);
  });

  test('a pull in which nothing moves ends with words that say so', async () => {
    using parts = transferParts({ ...stack.parts, stallMs: 400 });
    registry.addImage('x/y', 'latest', [big]);
    const { digest } = registry.addBlob(gzipSync(big));
    registry.scripts.push(always(new RegExp(digest), (_, response) => void response.write('x')));
    await assert.rejects(
      pullQuietly(parts, stack.ctx, { reference: `${registry.host}/x/y:latest`, unpack }),
      { kind: 'unavailable', message: /pull of .*x\/y:latest stalled: nothing moved for 0.4 s/ },
    );
  });

  test('an ingest full of other bytes is started over', async () => {
    registry.addImage('x/y', 'latest', [big]);
    const { digest } = registry.addBlob(gzipSync(big));
    await using writer = await stack.metadata.content.writer(stack.ctx, {
      ref: `layer-${digest}`,
      expected: digest as Digest,
    });
    await writer.write(randomBytes(5000));
    await writer[Symbol.asyncDispose]();
    await run();
  });

  test('leaving the progress early cancels the pull', async () => {
    registry.addImage('x/y', 'latest', tars);
    for await (const { phase } of pull(stack.parts, stack.ctx, {
      reference: `${registry.host}/x/y:latest`,
      unpack,
    }))
      if (phase === 'resolved') break;
    const { images, leases, snapshots } = await inventory(stack);
    assert.deepEqual([images, leases, snapshots], [[], 0, []]);
  });

  test('the lease of a pull that died with its daemon is dropped at the next start, those of clients stay', async () => {
    const { metadata, ctx } = stack;
    const own = await metadata.leases.create(ctx, { labels: { 'io.berth.transfer': 'true' } });
    const client = await metadata.leases.create(ctx, { labels: { 'io.berth.transfers': 'true' } });
    const snapshotter = metadata.snapshotters.get('overlayfs') ?? assert.fail();
    await snapshotter.prepare({ ...ctx, lease: own.id }, 'extract-1 sha256:x', '');
    await dropStaleLeases(metadata, ctx);
    await metadata.gc.collectNow();
    assert.deepEqual(
      (await metadata.leases.list(ctx)).map(({ id }) => id),
      [client.id],
    );
    assert.deepEqual(await snapshotter.list(ctx), []);
    await metadata.leases.delete(ctx, client.id);
  });

  test('a disk without room is told beforehand, with what is missing', async () => {
    const image = registry.addImage('x/y', 'latest', tars, {
      manifest: (layers) => ({ layers: layers.map((layer) => ({ ...layer, size: 2 ** 50 })) }),
    });
    assert.ok(image.size > 0);
    await refused({
      kind: 'resource_exhausted',
      message: /not enough disk space at .* MiB needed, .* MiB free, .* MiB missing/,
    });
  });

  test('at most the configured number of blobs are downloaded at a time', async () => {
    await using own = await openStack();
    using parts = transferParts({ ...own.parts, maxDownloads: 2 });
    registry.addImage(
      'x/y',
      'latest',
      Array.from({ length: 8 }, (_, i) => tarOf({ [`f${i}`]: 'x' })),
    );
    let [now, most] = [0, 0];
    registry.scripts.push(
      always(/blobs/, (request, response) => {
        most = Math.max(most, ++now);
        setTimeout(() => {
          now--;
          response.end(registry.blobs.get(request.url?.split('/').at(-1) ?? ''));
        }, 15);
      }),
    );
    await pullQuietly(parts, own.ctx, { reference: `${registry.host}/x/y:latest`, unpack });
    assert.equal(most, 2);
  });
});
