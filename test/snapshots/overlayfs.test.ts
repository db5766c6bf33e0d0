import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LayerMode } from '../../src/snapshots/layer-mode.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import { type SnapshotterSubject, snapshotterSuite } from '../../src/snapshots/snapshotter.suite.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { LayeringDriver } from './layering-driver.ts';
import { cannot } from './modes.ts';
import { openRecords } from './records.ts';

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';
const makeDirectory = () => mkdtempSync(join(scratch, 'berth-snapshots-'));

/** The driver, by itself or turning all that is committed into layer files. */
async function openSubject(mode: LayerMode): Promise<SnapshotterSubject> {
  const directory = makeDirectory();
  const root = join(directory, 'overlayfs');
  const driver = await openOverlayDriver({ root, mode });
  const records = await openRecords(directory, mode === 'directories' ? driver : new LayeringDriver(driver));
  return {
    ...records,
    async [Symbol.asyncDispose]() {
      await records[Symbol.asyncDispose]();
      await driver[Symbol.asyncDispose]();
      await unmountTree(root);
      rmSync(directory, { recursive: true });
    },
  };
}

for (const mode of ['directories', 'erofs', 'erofs-loop'] as const)
  if (!(await cannot(mode))) snapshotterSuite(`overlayfs (${mode})`, () => openSubject(mode));

const active = { kind: 'active', parents: [], labels: {} } as const;

test('mounts use only the options that BuildKit reads', async () => {
  const directory = makeDirectory();
  const driver = await openOverlayDriver({ root: directory });
  const fs = (id: number) => `${directory}/snapshots/${id}/fs`;
  for (const id of [2, 3, 9]) await driver.create({ id, ...active });
  const of = (kind: 'active' | 'view', parents: number[]) =>
    driver.mounts({ id: 9, kind, parents, labels: {} });
  assert.deepEqual(await of('active', []), [{ type: 'bind', source: fs(9), options: ['rw', 'rbind'] }]);
  assert.deepEqual(await of('view', []), [{ type: 'bind', source: fs(9), options: ['ro', 'rbind'] }]);
  assert.deepEqual(await of('view', [3]), [{ type: 'bind', source: fs(3), options: ['ro', 'rbind'] }]);
  const [overlay] = await of('active', [3, 2]);
  assert.deepEqual(overlay?.options, [
    'index=off',
    `workdir=${directory}/snapshots/9/work`,
    `upperdir=${fs(9)}`,
    `lowerdir=${fs(3)}:${fs(2)}`,
  ]);
  assert.deepEqual((await of('view', [3, 2]))[0]?.options, ['index=off', `lowerdir=${fs(3)}:${fs(2)}`]);
  rmSync(directory, { recursive: true });
});

test('directories are closed to other users under any umask (CVE-2021-41103)', async () => {
  const directory = makeDirectory();
  for (const mask of [0o000, 0o077]) {
    const old = process.umask(mask);
    try {
      const driver = await openOverlayDriver({ root: join(directory, `u${mask}`) });
      await driver.create({ id: 1, ...active });
      const mode = (path: string) => (statSync(join(driver.root, path)).mode & 0o7777).toString(8);
      assert.deepEqual(['.', 'snapshots', 'trash', 'layers', 'snapshots/1'].map(mode), Array(5).fill('700'));
      assert.equal(mode('snapshots/1/fs'), '755');
    } finally {
      process.umask(old);
    }
  }
  rmSync(directory, { recursive: true });
});

test('removal and cleanup follow no link, remove only what is unknown, and may be repeated', async () => {
  const directory = makeDirectory();
  const driver = await openOverlayDriver({ root: join(directory, 'root') });
  mkdirSync(join(directory, 'host'));
  writeFileSync(join(directory, 'host/file'), 'untouched');
  for (const id of [1, 2, 3]) {
    await driver.create({ id, ...active });
    symlinkSync('../../../../host', join(driver.root, `snapshots/${id}/fs/link`));
  }
  await driver.remove(1);
  await driver.remove(1);
  mkdirSync(join(driver.root, 'trash/7-left'));
  assert.deepEqual(await driver.cleanup(new Set([3])), [2]);
  assert.deepEqual(await driver.cleanup(new Set([3])), []);
  assert.deepEqual(readdirSync(join(driver.root, 'snapshots')), ['3']);
  assert.deepEqual(readdirSync(join(driver.root, 'trash')), []);
  assert.ok(existsSync(join(directory, 'host/file')));
  rmSync(directory, { recursive: true });
});

test('a root that overlay options cannot carry is refused', async () => {
  await assert.rejects(openOverlayDriver({ root: '/tmp/a:b' }), /holds one of/);
});
