import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SnapshotDirectories } from '../../src/snapshots/snapshot-directories.ts';

const scratch = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-removal-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

test('a large tree goes in a thread of its own, and no link in it is followed', async () => {
  const directories = new SnapshotDirectories(join(scratch, 'root'));
  await directories.open();
  const host = join(scratch, 'host');
  mkdirSync(host);
  writeFileSync(join(host, 'sentinel'), '');
  for (let d = 0; d < 60; d++) {
    const path = join(directories.fs(1), String(d));
    mkdirSync(path, { recursive: true });
    symlinkSync(host, join(path, 'link'));
    for (let f = 0; f < 150; f++) writeFileSync(join(path, String(f)), 'x');
  }
  writeFileSync(join(directories.directory(1), 'layer.erofs'), 'x');
  await Promise.all([directories.remove(1), directories.remove(1)]);
  assert.equal(existsSync(directories.directory(1)), false);
  assert.deepEqual(readdirSync(directories.trash), []);
  assert.deepEqual(readdirSync(host), ['sentinel']);
  await directories.remove(1);
});
