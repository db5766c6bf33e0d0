import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { openZstd } from './zstd.ts';

test('zstd is the one inside of Node', () => {
  using inflater = openZstd(27);
  assert.ok(inflater !== undefined);
  // A frame that says how much it holds, and that functions of another version do not read.
  const text = Buffer.alloc(11_192, 'x').fill(7, 3000);
  inflater.feed(zstdCompressSync(text));
  const output = Buffer.alloc(text.length + 1);
  assert.equal(inflater.inflate(output), text.length);
  assert.ok(inflater.finished && inflater.hungry);
  assert.ok(output.subarray(0, text.length).equals(text));
});
