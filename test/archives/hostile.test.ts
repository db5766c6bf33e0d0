import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Image } from '../../src/metadata/image-store.ts';
import { digestBytes } from '../../src/oci/digest.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { exportImages } from '../../src/transfer/archive/export.ts';
import { type ImportRequest, importImages } from '../../src/transfer/archive/import.ts';
import { dir, file, hardlink, symlink, type TarMember, tar } from '../kit/tar-builder.ts';
import { inventory, openStack, type Stack } from '../registry/stack.ts';

const { os, architecture } = hostPlatform();
const layer = tar(file('hello', 'world'));
const config = JSON.stringify({
  os,
  architecture,
  rootfs: { type: 'layers', diff_ids: [digestBytes(layer)] },
  config: { Cmd: ['/hello'] },
});
const manifestOf = (more: object = {}) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: blobOf('application/vnd.oci.image.config.v1+json', config),
    layers: [blobOf('application/vnd.oci.image.layer.v1.tar', layer)],
    ...more,
  });
const blobOf = (mediaType: string, bytes: string | Buffer, more: object = {}) => ({
  mediaType,
  digest: digestBytes(bytes),
  size: Buffer.byteLength(bytes),
  ...more,
});
const pathOf = (bytes: string | Buffer) => `blobs/sha256/${digestBytes(bytes).slice(7)}`;
const blob = (bytes: string | Buffer): TarMember => file(pathOf(bytes), bytes);
const layout = file('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
const named = (name: string) => ({ annotations: { 'io.containerd.image.name': name } });
const indexOf = (...manifests: object[]) =>
  file('index.json', JSON.stringify({ schemaVersion: 2, manifests }));
const imageIn = (manifest: string, more: object = named('x.io/a:1')) =>
  blobOf('application/vnd.oci.image.manifest.v1+json', manifest, more);
const plain = (manifest = manifestOf()) => [
  layout,
  indexOf(imageIn(manifest)),
  blob(manifest),
  blob(config),
  blob(layer),
];
const docker = (image: object) => file('manifest.json', JSON.stringify([image]));

async function importing(stack: Stack, archive: Buffer, more: Partial<ImportRequest> = {}) {
  const names = [{ prefix: 'base', allowOverwrite: true, addDigest: false, skipNamedDigest: false }];
  const unpack = [{ snapshotter: '', platform: hostPlatform() }];
  const steps = importImages(stack.parts, stack.ctx, { source: slices(archive), names, unpack, ...more });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value.map(({ name }: Image) => name);
  }
}

async function* slices(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

async function exporting({ parts, ctx }: Stack, ...names: string[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  await exportImages(
    parts,
    ctx,
    { names },
    async (chunk) => void chunks.push(Uint8Array.from(chunk)),
    () => {},
  );
  return Buffer.concat(chunks);
}

describe('archives that are as they should be', () => {
  const accepted: Record<string, { members: readonly TarMember[]; names: string[] }> = {
    'an OCI layout': { members: plain(), names: ['x.io/a:1'] },
    'one whose paths begin with ./ and that holds other things': {
      members: [
        dir('./'),
        dir('./blobs/'),
        file('./README', 'x'),
        ...plain().map((m) => ({ ...m, name: `./${m.name}` })),
      ],
      names: ['x.io/a:1'],
    },
    'one with the blobs first, the index last': { members: plain().toReversed(), names: ['x.io/a:1'] },
    'an image under two names': {
      members: [
        layout,
        indexOf(imageIn(manifestOf()), imageIn(manifestOf(), named('x.io/b:2'))),
        ...plain().slice(2),
      ],
      names: ['x.io/a:1', 'x.io/b:2'],
    },
    'a bare tag': {
      members: [
        layout,
        indexOf(imageIn(manifestOf(), { annotations: { 'org.opencontainers.image.ref.name': 'v3' } })),
        ...plain().slice(2),
      ],
      names: ['base:v3'],
    },
    'an image of this machine and one of another': {
      members: [
        layout,
        indexOf(imageIn(manifestOf()), {
          ...imageIn(manifestOf({ annotations: { other: 'x' } }), named('x.io/z:1')),
          platform: { os: 'linux', architecture: 's390x' },
        }),
        ...plain().slice(2),
      ],
      names: ['x.io/a:1'],
    },
    'a docker-archive, its layer once by a symbolic and once by a hard link': {
      members: [
        file('layer.tar', layer),
        symlink('1/layer.tar', '../layer.tar'),
        hardlink('2.tar', 'layer.tar'),
        file(
          'c.json',
          JSON.stringify({
            os,
            architecture,
            rootfs: { type: 'layers', diff_ids: [digestBytes(layer), digestBytes(layer)] },
          }),
        ),
        docker({ Config: 'c.json', RepoTags: ['box:1', 'q.io/box:2'], Layers: ['1/layer.tar', '2.tar'] }),
      ],
      names: ['docker.io/library/box:1', 'q.io/box:2'],
    },
    'a docker-archive with a gzipped layer': {
      members: [
        file('l', gzipSync(layer)),
        file('c', config),
        docker({ Config: 'c', RepoTags: ['box:1'], Layers: ['l'] }),
      ],
      names: ['docker.io/library/box:1'],
    },
  };
  for (const [what, { members, names }] of Object.entries(accepted))
    test(`${what} is imported and unpacked, plain and gzipped`, async () => {
      for (const archive of [tar(...members), gzipSync(tar(...members))]) {
        await using stack = await openStack();
        assert.deepEqual(await importing(stack, archive), names);
        const left = await inventory(stack);
        assert.deepEqual([left.images, left.leases, left.ingests], [names, 0, []]);
        assert.ok(left.snapshots.length > 0);
      }
    });

  test('what is exported is imported elsewhere, and exported again is the same to the byte', async () => {
    await using stack = await openStack();
    await importing(stack, tar(...plain()));
    const archive = await exporting(stack, 'x.io/a:1');
    await using other = await openStack();
    assert.deepEqual(await importing(other, archive), ['x.io/a:1']);
    assert.equal(sha(await exporting(other, 'x.io/a:1')), sha(archive));
    assert.deepEqual(
      (await other.metadata.images.get(other.ctx, 'x.io/a:1')).target.digest,
      digestBytes(manifestOf()),
    );
  });

  test('a collection after an import keeps everything an image needs and drops the rest', async () => {
    await using stack = await openStack();
    await importing(stack, tar(file('rubbish', 'x'.repeat(1000)), ...plain()), { indexName: undefined });
    await stack.metadata.leases.delete(stack.ctx, (await stack.metadata.leases.create(stack.ctx, {})).id, {
      sync: true,
    });
    const { blobs } = await inventory(stack);
    assert.deepEqual(
      blobs.toSorted(),
      [config, layer, manifestOf()].map((bytes) => digestBytes(bytes) as string).toSorted(),
    );
    await exporting(stack, 'x.io/a:1');
  });

  test('with an index name the whole archive has a record, and the others go with it', async () => {
    await using stack = await openStack();
    const all = await importing(stack, tar(...plain()), { indexName: 'all' });
    assert.deepEqual(all, ['all', 'x.io/a:1']);
    await stack.metadata.images.delete(stack.ctx, 'all', { sync: true });
    assert.deepEqual(await inventory(stack), {
      images: [],
      blobs: [],
      ingests: [],
      leases: 0,
      snapshots: [],
    });
  });
});

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('archives that are not', () => {
  const huge = (name: string) =>
    Buffer.concat([tar({ name, size: 8 * 2 ** 30 }).subarray(0, 512), Buffer.alloc(30 * 2 ** 20)]);
  const refused: Record<string, { archive: Buffer; kind: string; says: RegExp }> = {
    'bytes that are no tar': {
      archive: Buffer.alloc(4096, 'x'),
      kind: 'invalid_argument',
      says: /tar|archive/,
    },
    'nothing at all': {
      archive: Buffer.alloc(0),
      kind: 'invalid_argument',
      says: /unrecognized image format/,
    },
    'a tar of something else': {
      archive: tar(file('a', 'b')),
      kind: 'invalid_argument',
      says: /unrecognized image format/,
    },
    'one cut off inside a blob': {
      archive: tar(...plain()).subarray(0, -2600),
      kind: 'invalid_argument',
      says: /unexpected end|ends inside/,
    },
    'a layout of another version': {
      archive: tar(file('oci-layout', '{"imageLayoutVersion":"9"}'), ...plain().slice(1)),
      kind: 'invalid_argument',
      says: /unsupported OCI layout version "9"/,
    },
    'a layout without an index': {
      archive: tar(layout, blob(config)),
      kind: 'invalid_argument',
      says: /missing index\.json/,
    },
    'an index that is not JSON': {
      archive: tar(layout, file('index.json', '{')),
      kind: 'invalid_argument',
      says: /not JSON/,
    },
    'an index of nothing': {
      archive: tar(layout, indexOf()),
      kind: 'invalid_argument',
      says: /holds no image/,
    },
    'a blob that is not what its name says': {
      archive: tar(
        ...plain().map((m) => (m.name === pathOf(layer) ? { ...m, data: Buffer.alloc(layer.length, 1) } : m)),
      ),
      kind: 'failed_precondition',
      says: /digest/,
    },
    'an image whose layer is missing': {
      archive: tar(...plain().slice(0, -1)),
      kind: 'invalid_argument',
      says: /neither in it nor here/,
    },
    'an image of another machine only': {
      archive: tar(
        layout,
        indexOf({ ...imageIn(manifestOf()), platform: { os: 'plan9', architecture: 'mips' } }),
        ...plain().slice(2),
      ),
      kind: 'not_found',
      says: /no match for platform.*plan9\/mips/,
    },
    'a manifest list that is its own child': {
      archive: tar(layout, indexOf({ ...blobOf('application/vnd.oci.image.index.v1+json', 'x') })),
      kind: 'not_found',
      says: /not found/,
    },
    'a docker-archive that names a missing config': {
      archive: tar(docker({ Config: 'nope', RepoTags: ['a:1'], Layers: [] })),
      kind: 'invalid_argument',
      says: /image config "nope" not found/,
    },
    'a docker-archive with a link that leads out': {
      archive: tar(
        file('c', config),
        symlink('l', '../../../etc/passwd'),
        docker({ Config: 'c', RepoTags: ['a:1'], Layers: ['l'] }),
      ),
      kind: 'invalid_argument',
      says: /image layer "l" not found/,
    },
    'a docker-archive with links in a ring': {
      archive: tar(
        file('c', config),
        symlink('l', 'm'),
        symlink('m', 'l'),
        docker({ Config: 'c', RepoTags: ['a:1'], Layers: ['l'] }),
      ),
      kind: 'invalid_argument',
      says: /image layer "l" not found/,
    },
    'a docker-archive with a tag that is none': {
      archive: tar(
        file('c', config),
        file('l', layer),
        docker({ Config: 'c', RepoTags: ['A B'], Layers: ['l'] }),
      ),
      kind: 'invalid_argument',
      says: /reference ".*A B"/,
    },
    'CVE-2026-20613: a layout whose blob is a link to a file of the host': {
      archive: tar(...plain().slice(0, -1), symlink(pathOf(layer), '/etc/passwd')),
      kind: 'invalid_argument',
      says: /neither in it nor here/,
    },
    'CVE-2023-25153: an index.json of 8 GiB': {
      archive: huge('index.json'),
      kind: 'resource_exhausted',
      says: /larger than/,
    },
    'CVE-2023-25153: a manifest.json of 8 GiB': {
      archive: huge('manifest.json'),
      kind: 'resource_exhausted',
      says: /larger than/,
    },
    'CVE-2023-25153: an oci-layout of 8 GiB': {
      archive: huge('oci-layout'),
      kind: 'resource_exhausted',
      says: /larger than/,
    },
    'CVE-2021-41190: a manifest that is an index too': {
      archive: tar(...plain(manifestOf({ manifests: [] }))),
      kind: 'invalid_argument',
      says: /ambiguous/,
    },
  };
  for (const [what, { archive, kind, says }] of Object.entries(refused))
    test(`${what} is refused and leaves nothing`, async () => {
      await using stack = await openStack();
      await assert.rejects(importing(stack, archive), { kind, message: says });
      await stack.metadata.leases.delete(stack.ctx, (await stack.metadata.leases.create(stack.ctx, {})).id, {
        sync: true,
      });
      assert.deepEqual(await inventory(stack), {
        images: [],
        blobs: [],
        ingests: [],
        leases: 0,
        snapshots: [],
      });
    });

  test('an image with a damaged or missing blob is not exported as if it were whole', async () => {
    await using stack = await openStack();
    await importing(stack, tar(...plain()));
    await assert.rejects(exporting(stack, 'nope'), { kind: 'not_found' });
    await stack.metadata.content.delete(stack.ctx, digestBytes(layer));
    await assert.rejects(exporting(stack, 'x.io/a:1'), { kind: 'invalid_argument', message: /is not here/ });
  });
});
