import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchedWriter } from './batched-writer.ts';

test('chunks of any size arrive whole, in order and in few writes', async () => {
  const bytes = randomBytes(5 * (1 << 20) + 17);
  const written: Buffer[] = [];
  const writer = new BatchedWriter(async (data) => {
    await sleep(1);
    written.push(Buffer.from(data));
  }, bytes.length);
  for (let at = 0, n = 1; at < bytes.length; at += n, n = ((n * 7) % 190_001) + 1)
    await writer.add(bytes.subarray(at, at + n));
  await writer.end();
  assert.ok(Buffer.concat(written).equals(bytes));
  assert.ok(written.length < 30, `${written.length} writes`);
});

test('what a slow connection brought is written though nothing follows', async () => {
  const arrived = Promise.withResolvers<string>();
  const writer = new BatchedWriter(async (data) => arrived.resolve(Buffer.from(data).toString()), 100);
  await writer.add(Buffer.from('some'));
  assert.equal(await arrived.promise, 'some');
  await writer.end();
});

test('a write that fails fails what follows', async () => {
  const writer = new BatchedWriter(() => Promise.reject(new Error('disk full')), 4);
  await writer.add(Buffer.from('full'));
  await assert.rejects(writer.add(Buffer.from('more')), /disk full/);
  await assert.rejects(writer.end(), /disk full/);
});
