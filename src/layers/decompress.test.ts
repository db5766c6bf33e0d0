import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { isKind } from '../errors/error.ts';
import { decompress } from './decompress.ts';
import { defaultLayerLimits } from './limits.ts';

const gzipType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const zstdType = 'application/vnd.oci.image.layer.v1.tar+zstd';
const skippable = Buffer.from('502a4d180500000068656c6c6f', 'hex');

async function* inSteps(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

async function inflated(
  bytes: Buffer,
  mediaType: string,
  step = 1 << 20,
  limits = defaultLayerLimits,
): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of decompress(inSteps(bytes, step), mediaType, limits)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('members and frames are read one after the other, in chunks of any size', async () => {
  const gzip = Buffer.concat([gzipSync('one'), gzipSync(''), gzipSync('two'), Buffer.alloc(20)]);
  const zstd = Buffer.concat([
    skippable,
    zstdCompressSync('one'),
    skippable,
    skippable,
    zstdCompressSync('two'),
  ]);
  for (const step of [1, 3, 1000]) {
    assert.equal(await inflated(gzip, gzipType, step), 'onetwo');
    assert.equal(await inflated(zstd, zstdType, step), 'onetwo');
  }
});

test('a flood of skippable frames or empty members comes to nothing', async () => {
  const frames = Buffer.concat([zstdCompressSync('x'), ...Array.from({ length: 20_000 }, () => skippable)]);
  assert.equal(await inflated(frames, zstdType), 'x');
  const members = Buffer.concat(Array.from({ length: 5000 }, () => gzipSync('')));
  assert.equal(await inflated(members, gzipType), '');
});

test('security.md §1.7, bombs: windows above 128 MiB (zstd --long=31) are refused', async () => {
  // Frame header: magic, descriptor without single segment, window descriptor of 2 GiB.
  const frame = Buffer.from('28b52ffd00a801000000', 'hex');
  await assert.rejects(inflated(frame, zstdType), (error) => isKind(error, 'invalid_argument'));
});

test('the budget holds at the byte', async () => {
  const bytes = gzipSync(Buffer.alloc(1000, 'a'));
  const limits = (uncompressedBytes: number) => ({ ...defaultLayerLimits, uncompressedBytes });
  assert.equal((await inflated(bytes, gzipType, 100, limits(1000))).length, 1000);
  await assert.rejects(inflated(bytes, gzipType, 100, limits(999)), (error) =>
    isKind(error, 'resource_exhausted'),
  );
});

test('an error of the source comes through as it is', async () => {
  const failing = async function* (): AsyncGenerator<Buffer> {
    yield gzipSync('data').subarray(0, 12);
    throw new RangeError('source broke');
  };
  const read = async () => {
    for await (const _ of decompress(failing(), gzipType));
  };
  await assert.rejects(read(), RangeError);
});
