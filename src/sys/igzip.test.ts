import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { openIgzip } from './igzip.ts';

test('igzip is used exactly where the library is installed', () => {
  const installed = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).includes('libisal.so.2');
  assert.equal(openIgzip() !== undefined, installed && process.arch === 'x64');
});
