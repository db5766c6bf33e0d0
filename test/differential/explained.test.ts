import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { top } from '../kit/paths.ts';
import { avoided } from './avoided.ts';
import { explained } from './explained.ts';

test('docs/compatibility.md tells every difference that is meant', () => {
  const told = readFileSync(join(top, 'docs/compatibility.md'), 'utf8');
  for (const { why } of [...explained, ...avoided]) assert.ok(told.includes(`- ${why}\n`), why);
});
