import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { refuseOddDestinations } from './restorable-mounts.ts';

test('CVE-2026-119101: nothing is restored over a destination that is a link or looks like a key', () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-root-'));
  using _root = { [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
  mkdirSync(join(root, 'var/lib'), { recursive: true });
  symlinkSync('/etc', join(root, 'link'));
  symlinkSync('../../..', join(root, 'var/up'));
  for (const fine of ['/', '/proc', '/var/lib', '/var/lib/new/deep', '/a]b:c', 7])
    refuseOddDestinations(root, [fine]);
  for (const odd of ['/link', '/link/passwd', '/var/up/x', '/../x', '/a]:b', '/var/lib/../up'])
    assert.throws(
      () => refuseOddDestinations(root, ['/proc', odd]),
      (e) => isKind(e, 'failed_precondition'),
      odd,
    );
});
