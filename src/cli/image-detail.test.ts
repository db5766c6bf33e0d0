import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { BerthClient, Image } from '../client/index.ts';
import { notFound } from '../errors/error.ts';
import { mediaTypes } from '../oci/media-types.ts';
import { readImage } from './image-detail.ts';

/** Blobs by digest, and a client that reads them. */
function store() {
  const blobs = new Map<string, Buffer>();
  const put = (mediaType: string, document: object) => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const content = {
    async reader(_: unknown, digest: string) {
      const bytes = blobs.get(digest);
      if (bytes === undefined) throw notFound(`content ${digest}`);
      return { bytes: async () => bytes, async [Symbol.asyncDispose]() {} };
    },
  };
  const client = { content, context: () => ({}) } as unknown as BerthClient;
  const read = (target: object) => readImage(client, { target } as Image);
  return { put, read };
}

const base = { schemaVersion: 2 };

test('an image whose index stands in an index is read, one level deep, and what is not here is passed over', async () => {
  const { put, read } = store();
  const rootfs = { type: 'layers', diff_ids: [] };
  const config = put(mediaTypes.ociConfig, { os: 'linux', architecture: 'amd64', rootfs });
  const manifest = put(mediaTypes.ociManifest, { ...base, config, layers: [] });
  const absent = { ...manifest, digest: `sha256:${'0'.repeat(64)}` };
  const indexOf = (...manifests: object[]) => put(mediaTypes.ociIndex, { ...base, manifests });
  const nested = indexOf(absent, indexOf(absent, manifest));
  assert.equal((await read(nested))?.manifestDigest, manifest.digest);
  assert.equal((await read(indexOf(manifest)))?.sizeBytes, config.size);
  assert.equal(await read(indexOf(nested)), undefined);
  assert.equal(await read(absent), undefined);
});
