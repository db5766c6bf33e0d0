import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountAll } from '../sys/mount.ts';
import { listMounts } from '../sys/mountinfo.ts';
import { TempMounts } from './temp-mounts.ts';

const tmpfs = [{ type: 'tmpfs', source: 'tmpfs', options: ['size=64k'] }];

test('a mount of a moment is gone afterwards, also after a failure', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-temp-'));
  using _ = { [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
  const temp = new TempMounts(root);
  const path = await temp.with(tmpfs, async (at) => at);
  await assert.rejects(
    temp.with(tmpfs, () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.ok(!existsSync(path));
  assert.ok(!listMounts().some((m) => m.mountPoint.startsWith(root)));
});

test('what a killed daemon left mounted is unmounted, what runs now and what is not ours stays', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-temp-'));
  using _ = { [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
  const left = join(root, 'containers-1-dead/berth-mount-x');
  mkdirSync(left, { recursive: true });
  mkdirSync(join(root, 'other'));
  await mountAll(tmpfs, left);
  const temp = new TempMounts(root);
  await temp.with(tmpfs, async (at) => {
    await temp.sweep();
    assert.ok(listMounts().some((m) => m.mountPoint === at));
  });
  assert.ok(!existsSync(left));
  assert.ok(readdirSync(root).includes('other'));
});
