import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrownMemory } from './grown-memory.ts';

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
  const held = Buffer.alloc(64 * 2 ** 20, 1);
  await memory.giveBack();
  assert.ok(passes > before);
  assert.equal(held.at(-1), 1);
});

test('starts over when it is asked, with more held than before, while it gives back', async () => {
  const held: Buffer[] = [];
  const memory = new GrownMemory(async () => {
    held.push(Buffer.alloc(9 * 2 ** 20, 1));
    if (held.length < 10) void memory.giveBack();
  }, 1);
  await memory.giveBack();
  assert.ok(held.length >= 10, `${held.length} passes`);
});
