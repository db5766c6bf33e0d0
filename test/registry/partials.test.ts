import assert from 'node:assert/strict';
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sweepPartials } from '../../src/transfer/partial-downloads.ts';
import { openStack, type Stack } from './stack.ts';

const hour = 60 * 60_000;

/** Leaves `bytes` of an ingest that was last written `ageMs` ago. */
async function leave(
  { dir, ctx, metadata }: Stack,
  ref: string,
  bytes: number,
  ageMs: number,
): Promise<void> {
  const folder = join(dir, 'content/ingest');
  const before = new Set(readdirSync(folder));
  const writer = await metadata.content.writer(ctx, { ref });
  await writer.write(Buffer.alloc(bytes));
  await writer[Symbol.asyncDispose]();
  const at = new Date(Date.now() - ageMs);
  for (const name of readdirSync(folder)) if (!before.has(name)) utimesSync(join(folder, name), at, at);
}

const refs = async ({ metadata, ctx }: Stack) =>
  (await metadata.content.listStatuses(ctx)).map(({ ref }) => ref);

test('partial downloads go when they are too old, and the oldest when they are too many; what is being written stays', async () => {
  await using stack = await openStack();
  const { ctx, metadata } = stack;
  for (const [ref, ageMs] of [
    ['a', 5 * hour],
    ['b', 3 * hour],
    ['c', 2 * hour],
    ['d', hour],
    ['fresh', 0],
  ] as const)
    await leave(stack, ref, 1000, ageMs);
  await leave({ ...stack, ctx: { ...ctx, namespace: 'other' } }, 'd2', 1000, hour);
  await using _writing = await metadata.content.writer(ctx, { ref: 'b' });
  const daemon = { ...ctx, namespace: '' };
  assert.equal(await sweepPartials(metadata, daemon, { bytes: 10_000, ageMs: 4 * hour }), 1);
  assert.deepEqual(await refs(stack), ['b', 'c', 'd', 'fresh']);
  assert.equal(await sweepPartials(metadata, daemon, { bytes: 2_000, ageMs: 4 * hour }), 1);
  assert.deepEqual(await refs(stack), ['b', 'd', 'fresh']);
  assert.equal(await sweepPartials(metadata, daemon, { bytes: 0, ageMs: 4 * hour }), 2);
  assert.deepEqual(await refs(stack), ['b', 'fresh']);
});
