import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { returnFreeMemory } from './free-memory.ts';

test('giving memory back shrinks the process, which goes on as before', async () => {
  const residentKb = (): number =>
    Number(/^Rss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]);
  const before = residentKb();
  await returnFreeMemory();
  assert.ok(residentKb() < before - 5_000, `${before} kB, then ${residentKb()} kB`);
  assert.equal(new URL('http://a/b').pathname, '/b');
});
