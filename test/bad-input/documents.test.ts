import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type BerthClient, BerthError, connect } from '../../src/client/index.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { digestOf, FlakyRegistry, type ImageChange, tarOf } from '../kit/flaky-registry.ts';

let registry: FlakyRegistry;
let daemon: TestDaemon;
let client: BerthClient;
before(async () => {
  registry = await FlakyRegistry.start();
  daemon = await startDaemon();
  client = connect({ address: daemon.address });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const good = tarOf({ 'etc/motd': 'hello' });
const image = (change: ImageChange, tars = [good]) => registry.addImage('bad', 'x', tars, change);
const index = (manifests: unknown[], more = {}) =>
  registry.addManifest(
    'bad',
    'x',
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...more },
    mediaTypes.ociIndex,
  );
const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(Buffer.from('x')), size: 1 };

interface Bad {
  readonly make: () => unknown;
  readonly says: RegExp;
  readonly reference?: string;
}

const bad: Readonly<Record<string, Bad>> = {
  'a manifest of 8 MiB and a byte': {
    make: () => image({ manifest: () => ({ annotations: { long: 'x'.repeat(8 * 2 ** 20) } }) }),
    says: /\d+ bytes, at most 8388608 are read/,
  },
  '10,000 layers': {
    make: () => image({ manifest: ([first]) => ({ layers: Array(10_000).fill(first) }) }),
    says: /layers/,
  },
  'an index that is in itself': {
    make: () => {
      // No index can hold its own digest; one that claims to is found out.
      const inner = index([descriptor]);
      index([{ ...inner, digest: inner.digest, size: inner.size + 1 }]);
      return registry.manifests.set(`bad/${inner.digest}`, {
        bytes: registry.manifests.get('bad/x')?.bytes ?? Buffer.alloc(0),
        mediaType: mediaTypes.ociIndex,
      });
    },
    says: /expected|digest/,
  },
  'a layer that is said to be a picture': {
    make: () => image({ manifest: ([first]) => ({ layers: [{ ...first, mediaType: 'image/png' }] }) }),
    says: /media type "image\/png".*not implemented/,
  },
  'a layer whose type says another compression': {
    make: () =>
      image({ manifest: ([first]) => ({ layers: [{ ...first, mediaType: mediaTypes.ociLayerZstd }] }) }),
    says: /layer is gzip but its media type is .*zstd/,
  },
  'a platform that is not there': {
    make: () => {
      const manifest = image({});
      return index([{ ...manifest, platform: { os: 'plan9', architecture: 'mips' } }]);
    },
    says: /no match for platform in manifest: wanted linux\/\w+, available: plan9\/mips/,
  },
  'a manifest of schema 1': {
    make: () =>
      registry.addManifest(
        'bad',
        'x',
        { schemaVersion: 1, name: 'bad', tag: 'x', fsLayers: [] },
        'application/vnd.docker.distribution.manifest.v1+prettyjws',
      ),
    says: /schema 1 is not supported/i,
  },
  'a layer that is elsewhere, and there is nothing': {
    make: () =>
      image({
        manifest: () => ({
          layers: [
            {
              mediaType: mediaTypes.ociLayerGzip,
              digest: digestOf(Buffer.from('far')),
              size: 3,
              urls: ['http://127.0.0.1:9/far'],
            },
          ],
        }),
      }),
    says: /cannot reach|not found/,
  },
  'a chart': {
    make: () =>
      image({
        manifest: () => ({
          config: registry.addBlob(Buffer.from('{}'), 'application/vnd.cncf.helm.config.v1+json'),
        }),
      }),
    says: /not a container image but "application\/vnd.cncf.helm.config.v1\+json"/,
  },
  'a layer of no bytes': {
    make: () => image({ manifest: () => ({ layers: [registry.addBlob(Buffer.alloc(0))] }) }),
    says: /layer/,
  },
  'a path': { make: () => {}, reference: './image.tar', says: /reference "\.\/image\.tar" is a path/ },
};

const left = async () => [
  ...(await client.images.list()).map(({ name }) => name),
  ...(await client.leases.list()).map(({ id }) => id),
  ...(await client.snapshotter().list(client.context())).map(({ name }) => name),
];

for (const [name, { make, says, reference }] of Object.entries(bad))
  test(`${name}: is told clearly and leaves nothing`, async () => {
    make();
    const pulling = async () => client.images.pull(reference ?? `${registry.host}/bad:x`).image();
    await assert.rejects(pulling, (error) => {
      assert.ok(error instanceof BerthError);
      assert.match(error.message, says);
      return true;
    });
    assert.deepEqual(await left(), []);
    assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  });

test('their twin pulls: the same layer twice, an empty one, an address that is not needed', async () => {
  const empty = gzipSync(Buffer.alloc(1024));
  const layers = [
    registry.addBlob(gzipSync(good)),
    registry.addBlob(empty),
    registry.addBlob(gzipSync(good)),
  ];
  registry.addImage('good', 'x', [good, Buffer.alloc(1024), good], {
    manifest: () => ({ layers: layers.map((layer) => ({ ...layer, urls: ['http://127.0.0.1:9/x'] })) }),
  });
  await client.images.pull(`${registry.host}/good:x`).image();
  assert.equal((await client.snapshotter().list(client.context())).length, 3);
});
