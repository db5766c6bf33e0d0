import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from './constants.ts';
import { openAt } from './files.ts';
import { refuseOddMountpoints } from './mountpoints.ts';

function tree(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'berth-mountpoints-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

for (const target of ['/outside', '../outside', '/tmp', 'proc'])
  for (const name of ['proc', 'sys', 'dev'])
    test(`CVE-2025-31133: an image whose /${name} is a link to ${target} is refused`, () => {
      using at = tree();
      symlinkSync(target, join(at.path, name));
      using root = openAt(AT_FDCWD, at.path, O_PATH | O_DIRECTORY);
      assert.throws(() => refuseOddMountpoints(root), { kind: 'failed_precondition' });
    });

test('CVE-2025-31133: absent or real /proc, /sys and /dev still work, a file does not', () => {
  using at = tree();
  mkdirSync(join(at.path, 'proc'));
  using root = openAt(AT_FDCWD, at.path, O_PATH | O_DIRECTORY);
  refuseOddMountpoints(root);
  writeFileSync(join(at.path, 'dev'), '');
  assert.throws(() => refuseOddMountpoints(root), { kind: 'failed_precondition' });
});
