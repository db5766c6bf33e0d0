import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { top } from '../kit/paths.ts';

const page = readFileSync(join(top, 'docs/security-tests.md'), 'utf8');

test('docs/security-tests.md names only tests that are there and hold the id', () => {
  const rows = page.matchAll(/^\| ((?:CVE|GHSA)-[^ ]+|PR 13894|36c4275ee|a35da471f) \| (`.*`) \|$/gm);
  const pairs = [...rows].flatMap(([, id = '', files = '']) =>
    [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => [id, file] as const),
  );
  assert.ok(pairs.length > 90);
  for (const [id, file] of pairs)
    assert.ok(readFileSync(join(top, file), 'utf8').includes(id), `${file} does not name ${id}`);
});

test('every file that the page names is there', () => {
  for (const [, file = ''] of page.matchAll(/`((?:src|test)\/[^`]+\.ts)`/g)) readFileSync(join(top, file));
});
