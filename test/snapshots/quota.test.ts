import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { SnapshotDriver } from '../../src/snapshots/driver.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../../src/sys/constants.ts';
import { openAt } from '../../src/sys/files.ts';
import { setProject } from '../../src/sys/project-quota.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { output, run } from '../kit/run.ts';

const label = 'containerd.io/snapshot/quota';
const mebibyte = 1 << 20;
const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';
const limited = { [label]: String(4 * mebibyte) };
/** All stand on this one: overlayfs writes without the right to go beyond quotas, which a bind mount leaves to root. */
const base = 100;
const EDQUOT = -122;
const active = (id: number, labels: Record<string, string> = {}, parents: readonly number[] = [base]) =>
  ({ id, kind: 'active', parents, labels }) as const;

/** Fills a snapshot with a file; whether there was room. */
async function fits(
  driver: SnapshotDriver,
  snapshot: ReturnType<typeof active>,
  bytes: number,
): Promise<boolean> {
  return withTempMount(await driver.mounts(snapshot), async (path) => {
    try {
      writeFileSync(join(path, 'file'), Buffer.alloc(bytes, 1));
      return true;
    } catch (error) {
      assert.ok(error instanceof Error && 'errno' in error && error.errno === EDQUOT, String(error));
      return false;
    } finally {
      rmSync(join(path, 'file'), { force: true });
    }
  });
}

describe('where projects have no quotas', () => {
  test('a snapshot whose size is to be limited is refused in words, others are not', async () => {
    const dir = mkdtempSync(join(scratch, 'berth-quota-'));
    await output('mount', ['-t', 'tmpfs', 'tmpfs', dir]);
    try {
      await using driver = await openOverlayDriver({ root: join(dir, 'root'), mode: 'directories' });
      await assert.rejects(driver.create(active(1, limited, [])), {
        kind: 'failed_precondition',
        message: /the size of snapshots cannot be limited here/,
      });
      await driver.remove(1);
      await driver.create(active(2, {}, []));
    } finally {
      await output('umount', ['-R', dir]);
      rmSync(dir, { recursive: true });
    }
  });

  for (const text of ['', '0', '-1', '1G', '9'.repeat(19)])
    test(`a quota of ${JSON.stringify(text)} is no number of bytes`, async () => {
      const root = mkdtempSync(join(scratch, 'berth-quota-'));
      await using driver = await openOverlayDriver({ root, mode: 'directories' });
      await assert.rejects(driver.create(active(1, { [label]: text }, [])), { kind: 'invalid_argument' });
      rmSync(root, { recursive: true });
    });
});

/** A file system in a file, mounted with quotas of projects. */
async function mountQuotas(dir: string): Promise<string | false> {
  const [file, place] = [join(dir, 'disk'), join(dir, 'mounted')];
  mkdirSync(place);
  writeFileSync(file, '');
  truncateSync(file, 256 * mebibyte);
  await output('mkfs.ext4', ['-q', '-O', 'quota,project', '-E', 'quotatype=prjquota', file]);
  const { status, stderr } = await run('mount', ['-o', 'loop,prjquota', file, place]);
  return status === 0 ? false : `no quotas of projects in this kernel: ${stderr.trim()}`;
}

const dir = mkdtempSync(join(scratch, 'berth-quota-'));
const skip = await mountQuotas(dir);

describe('where projects have quotas', { skip }, () => {
  let driver: SnapshotDriver & AsyncDisposable;
  before(async () => {
    driver = await openOverlayDriver({
      root: join(dir, 'mounted/root'),
      mode: 'directories',
      quotaBytes: 8 * mebibyte,
    });
    await driver.create(active(base, {}, []));
    await driver.commit(active(base, {}, []));
  });
  after(async () => {
    await driver[Symbol.asyncDispose]();
    await output('umount', ['-R', join(dir, 'mounted')]);
  });

  test('no more than its label allows is written to a snapshot, and another has its own room', async () => {
    await driver.create(active(1, limited));
    await driver.create(active(2, limited));
    assert.equal(await fits(driver, active(1), 5 * mebibyte), false);
    assert.equal(await fits(driver, active(1), 3 * mebibyte), true);
    assert.equal(await fits(driver, active(2), 3 * mebibyte), true);
  });

  test('one above a committed snapshot is limited to what is its own', async () => {
    await withTempMount(await driver.mounts(active(1)), async (path) =>
      writeFileSync(join(path, 'kept'), Buffer.alloc(3 * mebibyte, 1)),
    );
    await driver.commit(active(1));
    const above = active(3, limited, [1, base]);
    await driver.create(above);
    assert.equal(await fits(driver, above, 3 * mebibyte), true);
    assert.equal(await fits(driver, above, 5 * mebibyte), false);
  });

  test('the default holds for what says nothing, not for layers', async () => {
    await driver.create(active(4));
    assert.equal(await fits(driver, active(4), 7 * mebibyte), true);
    assert.equal(await fits(driver, active(4), 9 * mebibyte), false);
    const layer = active(5, { 'containerd.io/snapshot.ref': 'sha256:x' });
    await driver.create(layer);
    assert.equal(await fits(driver, layer, 20 * mebibyte), true);
  });

  test('a snapshot that goes takes its limit along', async () => {
    for (const id of [5, 4, 3, 2, 1, base]) await driver.remove(id);
    assert.deepEqual(await driver.list?.(), []);
    // The directory of a project that is limited is as large as the limit; what is not is as large as the disk.
    const probe = join(dir, 'mounted/probe');
    mkdirSync(probe);
    for (const id of [1, 2, 3, 4]) {
      using directory = openAt(AT_FDCWD, probe, O_RDONLY | O_DIRECTORY);
      setProject(directory, 2 ** 30 + id);
      const { bsize, blocks } = statfsSync(probe);
      assert.ok(bsize * blocks > 100 * mebibyte, `project of snapshot ${id}: ${bsize * blocks}`);
    }
  });
});
after(() => rmSync(dir, { recursive: true }));
