import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressFeed, type TransferPhase } from './progress.ts';

const step = (phase: TransferPhase, offset = 0) => ({ phase, name: 'x', offset, total: 9 });

test('a slow reader sees of each phase the last step, in the order of these', async () => {
  const feed = new ProgressFeed();
  for (const offset of [1, 2, 3]) feed.report(step('downloading', offset));
  // Two layers of one digest, one after the other.
  for (const phase of ['extracting', 'extracted', 'extracting', 'extracted'] as const)
    feed.report(step(phase));
  feed.end();
  const seen = await Array.fromAsync(feed, ({ phase, offset }) => `${phase} ${offset}`);
  assert.deepEqual(seen, ['downloading 3', 'extracting 0', 'extracted 0']);
});
