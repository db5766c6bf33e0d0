import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create } from '@bufbuild/protobuf';
import { type Context, daemonContext, silentLog } from '../../src/async/context.ts';
import type { ContentReader, ContentStore } from '../../src/content/store.ts';
import { type ErrorKind, isKind, notFound } from '../../src/errors/error.ts';
import { ApplyRequestSchema, type ApplyResponse } from '../../src/gen/containerd/services/diff/v1/diff_pb.ts';
import { diffService } from '../../src/services/diff.ts';
import { applyTargets } from '../../src/snapshots/apply-target.ts';
import { walkingDiffer } from '../../src/transfer/differ.ts';
import { dir, file, hardlink, tar } from '../kit/tar-builder.ts';
import { makeSandbox, type Sandbox, upperMount } from './sandbox.ts';

const ctx = daemonContext(silentLog, 'default');
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A content store of one blob, with or without a path. */
function storeOf(bytes: Buffer, path?: string): ContentStore {
  const reader: ContentReader = {
    sizeBytes: bytes.length,
    ...(path === undefined ? {} : { path }),
    async *stream() {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    },
    bytes: async () => bytes,
    async [Symbol.asyncDispose]() {},
  };
  const open = async (_ctx: Context, digest: string) => {
    if (digest === digestOf(bytes)) return reader;
    throw notFound(`content ${digest}: not found`);
  };
  return { reader: open } as unknown as ContentStore;
}

const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const serviceOver = (content: ContentStore) =>
  diffService(walkingDiffer({ content, applyTarget: applyTargets([]) }));

async function apply(store: ContentStore, digest: string, mounts: ReturnType<typeof upperMount>) {
  const { impl } = serviceOver(store);
  const call = impl.apply as (request: unknown, ctx: Context) => Promise<ApplyResponse>;
  const request = create(ApplyRequestSchema, { diff: { mediaType, digest, size: 1n }, mounts, syncFs: true });
  return (await call(request, ctx)).applied;
}

const rejects = (promise: Promise<unknown>, kind: ErrorKind) =>
  assert.rejects(promise, (error) => isKind(error, kind));

const bindTo = (sandbox: Sandbox) => [{ type: 'bind', source: sandbox.target, options: ['rw', 'rbind'] }];

test('Apply answers the uncompressed layer, from a file or from a stream', async () => {
  const archive = tar(dir('d'), file('d/f', 'data'.repeat(1000)));
  const blob = gzipSync(archive, { level: 0 });
  for (const local of [true, false]) {
    using sandbox = makeSandbox();
    const path = join(sandbox.path, 'blob');
    writeFileSync(path, blob);
    const applied = await apply(storeOf(blob, local ? path : undefined), digestOf(blob), bindTo(sandbox));
    assert.deepEqual(applied, {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOf(archive),
      size: BigInt(archive.length),
    });
    assert.equal(readFileSync(join(sandbox.target, 'd/f'), 'utf8').length, 4000);
  }
});

test('Apply refuses what it cannot do with the right kind', async () => {
  using sandbox = makeSandbox();
  const blob = gzipSync(tar(hardlink('h', 'lower')));
  const store = storeOf(blob);
  await rejects(apply(store, 'sha256:short', bindTo(sandbox)), 'invalid_argument');
  await rejects(apply(store, digestOf(Buffer.from('x')), bindTo(sandbox)), 'not_found');
  await rejects(apply(store, digestOf(blob), []), 'invalid_argument');
  await rejects(apply(store, digestOf(blob), bindTo(sandbox)), 'invalid_argument');
  await rejects(apply(store, digestOf(blob), upperMount(sandbox.target)), 'failed_precondition');
});
