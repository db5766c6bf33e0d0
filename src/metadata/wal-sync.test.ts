import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { WalSync } from './wal-sync.ts';

test('after a failed sync nothing is promised any more', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-wal-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'x-wal');
  writeFileSync(path, 'frames');
  const wal = new WalSync(path);
  await Promise.all([wal.sync(), wal.sync(), wal.sync()]);
  assert.equal(wal.failure, undefined);
  wal[Symbol.dispose](); // the next fdatasync fails with EBADF
  const results = await Promise.allSettled([wal.sync(), wal.sync()]);
  for (const result of results) assert.ok(result.status === 'rejected' && isKind(result.reason, 'data_loss'));
  assert.ok(wal.failure);
  await assert.rejects(wal.sync(), (error) => isKind(error, 'data_loss'));
});
