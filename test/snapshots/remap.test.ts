import assert from 'node:assert/strict';
import { chownSync, lstatSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import type { DriverSnapshot } from '../../src/snapshots/driver.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import type { OverlayDriverOptions } from '../../src/snapshots/overlayfs/options.ts';
import { AT_FDCWD } from '../../src/sys/constants.ts';
import { chmodAt } from '../../src/sys/files.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { toLayer } from './layering-driver.ts';
import { cannot } from './modes.ts';

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';
const labels = {
  'containerd.io/snapshot/uidmapping': '0:100000:1000,1000:200000:10',
  'containerd.io/snapshot/gidmapping': '0:300000:65536',
};
const active = (id: number, parents: number[], wanted: Record<string, string> = {}): DriverSnapshot => ({
  id,
  kind: 'active',
  parents,
  labels: wanted,
});

/** Owners and modes of what is in a mounted snapshot, its root among it. */
async function owners(driver: Awaited<ReturnType<typeof openOverlayDriver>>, snapshot: DriverSnapshot) {
  const found: Record<string, string> = {};
  await withTempMount(await driver.mounts(snapshot), async (path) => {
    for (const name of ['.', ...readdirSync(path)]) {
      const { uid, gid, mode } = lstatSync(join(path, name));
      found[name] = `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
    }
  });
  return found;
}

async function open(dir: string, more: Partial<OverlayDriverOptions> = {}) {
  const driver = await openOverlayDriver({ root: join(dir, 'root'), layers: join(dir, 'layers'), ...more });
  return driver;
}

/** A layer file beneath a directory. */
async function twoLayers(driver: Awaited<ReturnType<typeof openOverlayDriver>>): Promise<void> {
  const fs = (id: number) => join(driver.root, 'snapshots', String(id), 'fs');
  for (const id of [1, 2]) await driver.create(active(id, id === 1 ? [] : [1]));
  writeFileSync(join(fs(1), 'root'), '');
  writeFileSync(join(fs(1), 'user'), 'data');
  symlinkSync('/etc/shadow', join(fs(1), 'link'));
  chownSync(join(fs(1), 'user'), 1001, 5);
  chmodAt(AT_FDCWD, join(fs(1), 'user'), 0o4755);
  writeFileSync(join(fs(2), 'in-directory'), '');
  chownSync(join(fs(2), 'in-directory'), 7, 7);
  await toLayer(driver, fs(1));
  for (const id of [1, 2]) await driver.commit(active(id, []));
}

const mapped = {
  '.': '100000:300000 755',
  'in-directory': '100007:300007 644',
  link: '100000:300000 777',
  root: '100000:300000 644',
  user: '200001:300005 4755',
};

describe('labels give the files of a snapshot other owners', { skip: await cannot('erofs') }, () => {
  for (const slowChown of ['never', 'always'] as const)
    test(slowChown === 'never' ? 'by mapped mounts' : 'by chown', async () => {
      const dir = mkdtempSync(join(scratch, 'berth-remap-'));
      await using stack = new AsyncDisposableStack();
      stack.defer(async () => {
        await unmountTree(dir);
        rmSync(dir, { recursive: true });
      });
      const driver = stack.use(await open(dir, { slowChown }));
      assert.deepEqual(driver.capabilities, ['rebase', 'remap-ids']);
      await twoLayers(driver);
      await driver.create(active(3, [2, 1], labels));
      assert.deepEqual(await owners(driver, active(3, [2, 1], labels)), mapped);
      await driver.create(active(4, [2, 1]));
      assert.equal(
        (await owners(driver, active(4, [2, 1]))).user,
        '1001:5 4755',
        'other snapshots are not touched',
      );
      await withTempMount(await driver.mounts(active(3, [2, 1], labels)), async (path) => {
        chownSync(join(path, 'root'), 100001, 300001);
        assert.throws(() => lstatSync(join(path, 'none')), /ENOENT/);
      });
      await driver.create(active(5, [], labels));
      assert.equal((await owners(driver, active(5, [], labels)))['.'], '100000:300000 755');
    });

  test('also after a restart and a reboot, and nothing stays mounted when they are gone', async () => {
    const dir = mkdtempSync(join(scratch, 'berth-remap-'));
    const run = active(3, [2, 1], labels);
    let driver = await open(dir);
    await twoLayers(driver);
    await driver.create(run);
    for (const reboot of [false, true]) {
      if (reboot) {
        await driver[Symbol.asyncDispose]();
        await unmountTree(join(dir, 'layers'));
        rmSync(join(dir, 'layers'), { recursive: true });
      }
      driver = await open(dir);
      driver.restore?.([run]);
      assert.deepEqual(await owners(driver, run), mapped);
    }
    await driver.remove(3);
    await driver[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
    rmSync(dir, { recursive: true });
  });

  test('labels that are no maps are refused', async () => {
    const dir = mkdtempSync(join(scratch, 'berth-remap-'));
    await using driver = await open(dir);
    const [uids, gids] = Object.keys(labels) as [string, string];
    const bad: Record<string, string>[] = [
      { [uids]: '0:1:2' },
      ...[
        '',
        '0:1',
        '0:1:0',
        '-1:0:1',
        '0:0:4294967296',
        '0:4294967295:1',
        'a:b:c',
        '0:1:2,',
        '0:1:2:3',
        '1:5:5',
      ].map((value) => ({ [uids]: value, [gids]: '0:1:2' })),
      { [uids]: Array(341).fill('0:1:1').join(','), [gids]: '0:1:2' },
    ];
    for (const [i, wrong] of bad.entries())
      await assert.rejects(
        driver.create(active(i + 1, [], wrong)),
        (error) => isKind(error, 'invalid_argument'),
        JSON.stringify(wrong).slice(0, 100),
      );
    rmSync(dir, { recursive: true });
  });
});
