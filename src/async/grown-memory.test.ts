import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrownMemory } from './grown-memory.ts';

/** Never let go, so that the process only grows while these tests run. */
const held: Buffer[] = [];
const grow = (): void => void held.push(Buffer.alloc(32 * 2 ** 20, 1));

test('gives back until nothing grows, and then only after the next growth', async () => {
  let passes = 0;
  const memory = new GrownMemory(async () => void passes++, 50);
  await memory.giveBack();
  assert.ok(passes > 0);
  // A busy machine may take some more before it counts as quiet.
  for (let before = 0; before < passes; ) {
    before = passes;
    await memory.giveBack();
  }
  const before = passes;
  grow();
  await memory.giveBack();
  assert.ok(passes > before);
});

test('starts over when it is asked, with more held than before, while it gives back', async () => {
  let passes = 0;
  const memory = new GrownMemory(async () => {
    passes++;
    grow();
    if (passes < 10) void memory.giveBack();
  }, 1);
  await memory.giveBack();
  assert.ok(passes >= 10, `${passes} passes`);
});
