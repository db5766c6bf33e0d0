import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { openZstd } from './zstd.ts';

test('libzstd is used exactly where the library is installed', () => {
  const installed = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).includes('libzstd.so.1');
  using inflater = openZstd(27);
  assert.equal(inflater !== undefined, installed);
});
