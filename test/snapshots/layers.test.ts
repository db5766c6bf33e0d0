import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { kindOf, messageOf } from '../../src/errors/error.ts';
import type { DriverSnapshot, SnapshotDriver } from '../../src/snapshots/driver.ts';
import type { LayerMode } from '../../src/snapshots/layer-mode.ts';
import { LostSnapshot } from '../../src/snapshots/lost-snapshot.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { listMounts } from '../../src/sys/mountinfo.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { output } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { toLayer } from './layering-driver.ts';
import { cannot } from './modes.ts';

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';

type Driver = SnapshotDriver & AsyncDisposable;

/** A driver on directories of its own that can be started again, as after a crash or a reboot. */
class Stage implements AsyncDisposable {
  readonly dir: string;
  readonly #mode: LayerMode;
  driver!: Driver;

  private constructor(mode: LayerMode, under: string) {
    this.dir = mkdtempSync(join(under, 'berth-layers-'));
    this.#mode = mode;
  }

  static async open(mode: LayerMode = 'erofs', under = scratch): Promise<Stage> {
    const stage = new Stage(mode, under);
    try {
      await stage.start();
    } catch (error) {
      rmSync(stage.dir, { recursive: true });
      throw error;
    }
    return stage;
  }

  get layers(): string {
    return join(this.dir, 'state');
  }

  /** Whatever ran before is simply forgotten, as with kill -9. */
  async start(standing: readonly DriverSnapshot[] = [], idleMs = 60_000): Promise<void> {
    const root = join(this.dir, 'root');
    this.driver = await openOverlayDriver({ root, layers: this.layers, mode: this.#mode, idleMs });
    this.driver.restore?.(standing);
  }

  async reboot(standing: readonly DriverSnapshot[] = []): Promise<void> {
    await this.driver[Symbol.asyncDispose]();
    await unmountTree(this.layers);
    rmSync(this.layers, { recursive: true });
    await this.start(standing);
  }

  path(id: number, name: string): string {
    return join(this.dir, 'root/snapshots', String(id), name);
  }

  /** Commits a layer file that holds `name`. */
  async layer(id: number, parents: readonly number[], name = `file-${id}`): Promise<void> {
    const snapshot = active(id, parents);
    await this.driver.create(snapshot);
    writeFileSync(join(this.path(id, 'fs'), name), `of ${id}`);
    await toLayer(this.driver, this.path(id, 'fs'));
    await this.driver.commit(snapshot);
  }

  mounted(): number[] {
    return listMounts()
      .filter(({ mountPoint }) => mountPoint.startsWith(`${this.layers}/`))
      .map(({ mountPoint }) => Number(mountPoint.slice(this.layers.length + 1)))
      .sort((a, b) => a - b);
  }

  /** What is seen in the mounts of a snapshot. */
  async names(snapshot: DriverSnapshot): Promise<string[]> {
    let names: string[] = [];
    await withTempMount(await this.driver.mounts(snapshot), async (path) => {
      names = readdirSync(path).sort();
    });
    return names;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver[Symbol.asyncDispose]();
    await unmountTree(this.dir);
    rmSync(this.dir, { recursive: true });
  }
}

const active = (id: number, parents: readonly number[] = []): DriverSnapshot => ({
  id,
  kind: 'active',
  parents,
  labels: {},
});
const view = (id: number, parents: readonly number[]): DriverSnapshot => ({
  ...active(id, parents),
  kind: 'view',
});

const isLost = (id: number, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof LostSnapshot, String(error));
  assert.deepEqual([error.id, kindOf(error)], [id, 'data_loss']);
  assert.match(messageOf(error), words);
  return true;
};

for (const mode of ['erofs', 'erofs-loop'] as const)
  describe(`layer files (${mode})`, { skip: await cannot(mode) }, () => {
    test('are one file a snapshot, seen through overlay and bind mounts', async () => {
      await using stage = await Stage.open(mode);
      await stage.layer(1, []);
      await stage.layer(2, [1]);
      assert.deepEqual(readdirSync(stage.path(2, '.')), ['layer.erofs']);
      assert.deepEqual(await stage.driver.mounts(view(3, [1])), [
        { type: 'bind', source: join(stage.layers, '1'), options: ['ro', 'rbind'] },
      ]);
      await stage.driver.create(active(4, [2, 1]));
      assert.deepEqual(await stage.names(active(4, [2, 1])), ['file-1', 'file-2']);
    });

    test('are mounted while something stands on them, and not for long after', async () => {
      await using stage = await Stage.open(mode);
      await stage.layer(1, []);
      await stage.layer(2, [1]);
      await stage.start([], 1);
      await until(() => stage.mounted().length === 0, 'the unmount');
      await stage.driver.create(active(3, [2, 1]));
      await stage.driver.create(active(4, [1]));
      assert.deepEqual(stage.mounted(), [1, 2]);
      await stage.driver.remove(3);
      await until(() => stage.mounted().length === 1, 'the mount');
      assert.deepEqual(stage.mounted(), [1]);
      assert.deepEqual(await stage.names(active(4, [1])), ['file-1']);
      await stage.driver.remove(4);
      await until(() => readdirSync(stage.layers).length === 0, 'the mount points to go');
    });

    test('come back after a crash, which leaves them mounted, and after a reboot, which does not', async () => {
      await using stage = await Stage.open(mode);
      await stage.layer(1, []);
      const run = active(2, [1]);
      await stage.driver.create(run);
      const mountId = () => listMounts().find(({ mountPoint }) => mountPoint === join(stage.layers, '1'))?.id;
      const before = mountId();
      await stage.start([run]);
      assert.deepEqual(await stage.names(run), ['file-1']);
      assert.equal(mountId(), before);
      await stage.reboot([run]);
      await until(() => stage.mounted().length === 1, 'the mount');
      assert.deepEqual(await stage.names(run), ['file-1']);
      await stage.reboot();
      assert.deepEqual(await stage.names(run), ['file-1'], 'asked for before it was restored');
    });

    test('that are gone, cut short or garbled are told before use, and the others still work', async () => {
      await using stage = await Stage.open(mode);
      for (const id of [1, 2, 3, 4, 5]) await stage.layer(id, []);
      await stage.driver.create(active(15, [5]));
      rmSync(stage.path(1, 'layer.erofs'));
      truncateSync(stage.path(2, 'layer.erofs'), 4095);
      await using file = await open(stage.path(3, 'layer.erofs'), 'r+');
      const [byte = 0] = (await file.read(Buffer.alloc(1), 0, 1, 1024 + 24)).buffer;
      await file.write(Buffer.of(byte ^ 0xff), 0, 1, 1024 + 24);
      await file.close();
      rmSync(stage.path(5, 'layer.erofs'));
      await assert.rejects(stage.driver.mounts(active(15, [5])), isLost(5, /missing/), 'while it is mounted');
      await stage.reboot([active(11, [1]), active(12, [2]), active(13, [3]), active(14, [4])]);
      await stage.driver.create(active(21, [4, 1]));
      await assert.rejects(stage.driver.mounts(active(21, [4, 1])), isLost(1, /missing/));
      await assert.rejects(stage.driver.create(active(22, [2])), isLost(2, /4095 of 4096 bytes/));
      await assert.rejects(stage.driver.create(active(23, [3])), isLost(3, /EBADMSG|EINVAL/));
      await stage.driver.create(active(24, [4]));
      assert.deepEqual(await stage.names(active(24, [4])), ['file-4']);
    });
  });

describe('a snapshot with a layer file', { skip: await cannot('erofs') }, () => {
  test('what is written above a layer file is committed with it, and lost with it', async () => {
    await using stage = await Stage.open();
    const both = active(1);
    await stage.driver.create(both);
    writeFileSync(join(stage.path(1, 'fs'), 'lower'), '');
    await toLayer(stage.driver, stage.path(1, 'fs'));
    assert.equal((await stage.driver.usage(both)).inodes, 3, 'two in the file, one directory above');
    await withTempMount(await stage.driver.mounts(both), async (path) =>
      writeFileSync(join(path, 'upper'), ''),
    );
    await stage.driver.commit(both);
    const on = view(2, [1]);
    assert.deepEqual(await stage.names(on), ['lower', 'upper']);
    await stage.start();
    assert.deepEqual(await stage.names(on), ['lower', 'upper']);
    rmSync(stage.path(1, 'layer.erofs'));
    await stage.reboot();
    await assert.rejects(stage.driver.mounts(on), isLost(1, /missing/));
  });

  test('a commit that was not recorded leaves the snapshot usable', async () => {
    await using stage = await Stage.open();
    await stage.layer(1, []);
    await stage.start([active(1)]);
    await withTempMount(await stage.driver.mounts(active(1)), async (path) => {
      assert.deepEqual(readdirSync(path), ['file-1']);
      writeFileSync(join(path, 'more'), '');
    });
    await stage.driver.commit(active(1));
    assert.deepEqual(await stage.names(view(2, [1])), ['file-1', 'more']);
  });

  test('a mount of another data root in the same place is not taken for ours', async () => {
    await using stage = await Stage.open();
    await stage.layer(1, [], 'old');
    await stage.driver.create(active(2, [1]));
    assert.deepEqual(stage.mounted(), [1]);
    rmSync(join(stage.dir, 'root'), { recursive: true });
    await stage.start([active(2, [1])]);
    await stage.layer(1, [], 'new');
    assert.deepEqual(await stage.names(view(3, [1])), ['new']);
  });

  test('a layer that somebody unmounted is mounted again', async () => {
    await using stage = await Stage.open();
    await stage.layer(1, []);
    await stage.driver.create(active(2, [1]));
    await output('umount', [join(stage.layers, '1')]);
    assert.deepEqual(await stage.names(active(2, [1])), ['file-1']);
  });

  test('removal unmounts and cleanup leaves no mount that nobody knows', async () => {
    await using stage = await Stage.open();
    for (const id of [1, 2]) await stage.layer(id, []);
    await stage.driver.create(active(3, [1]));
    await stage.driver.create(active(4, [2]));
    await stage.driver.remove(3);
    await stage.driver.remove(1);
    assert.deepEqual(stage.mounted(), [2]);
    assert.deepEqual(await stage.driver.cleanup(new Set()), [2, 4]);
    assert.deepEqual(stage.mounted(), []);
  });

  test('a snapshot that is full, mounted, claimed or committed does not become a layer file', async () => {
    await using stage = await Stage.open();
    await stage.driver.create(active(1));
    const mounts = await stage.driver.mounts(active(1));
    const target = () => stage.driver.applyTarget?.(mounts) ?? assert.fail();
    {
      await using first = await target();
      assert.ok(first?.layer);
      writeFileSync(first.layer.path, 'half');
      assert.equal((await target())?.layer, undefined, 'claimed');
      await assert.rejects(stage.driver.commit(active(1)), /still being applied/);
    }
    assert.ok(!existsSync(stage.path(1, 'layer.partial')), 'what was given up is gone');
    await withTempMount(mounts, async () => assert.equal((await target())?.layer, undefined, 'mounted'));
    writeFileSync(join(stage.path(1, 'fs'), 'x'), '');
    assert.equal((await target())?.layer, undefined, 'full');
    await stage.driver.commit(active(1));
    assert.equal(await target(), undefined, 'committed');
    assert.equal(
      await stage.driver.applyTarget?.([{ type: 'bind', source: '/etc', options: ['rw'] }]),
      undefined,
    );
  });

  test('a snapshot becomes a layer file while another daemon has one of the same number mounted', async () => {
    await using stage = await Stage.open();
    await using other = await Stage.open();
    for (const { driver } of [stage, other]) await driver.create(active(1));
    const target = async ({ driver }: Stage) => driver.applyTarget?.(await driver.mounts(active(1)));
    await withTempMount(await other.driver.mounts(active(1)), async () => {
      await using mounted = await target(other);
      await using free = await target(stage);
      assert.deepEqual([mounted?.layer, free?.layer?.lowest], [undefined, true]);
    });
  });

  test('a half-written file of a crash is neither used nor in the way', async () => {
    await using stage = await Stage.open();
    await stage.driver.create(active(1));
    writeFileSync(stage.path(1, 'layer.partial'), 'half');
    await stage.start([active(1)]);
    await using target = await stage.driver.applyTarget?.(await stage.driver.mounts(active(1)));
    assert.ok(target?.layer && !existsSync(target.layer.path));
  });

  test('file-backed mounts do not work on tmpfs: over a loop device, or refused when asked for', async () => {
    await using stage = await Stage.open('auto', '/dev/shm');
    assert.equal(stage.driver.exports?.layers, 'erofs-loop');
    assert.match(stage.driver.exports?.layers_reason ?? '', /^file: .*(ENOTBLK|E15|EINVAL)/);
    await stage.layer(1, []);
    assert.deepEqual(await stage.names(view(2, [1])), ['file-1']);
    await assert.rejects(Stage.open('erofs', '/dev/shm'), /layers = "erofs" is not possible here/);
  });

  test('layer files of before can still be used when directories are asked for', async () => {
    await using stage = await Stage.open();
    await stage.layer(1, []);
    const root = join(stage.dir, 'root');
    const plain = await openOverlayDriver({ root, layers: stage.layers, mode: 'directories' });
    assert.deepEqual(plain.exports, { layers: 'directories', layers_reason: 'configured' });
    await plain.create(active(2, [1]));
    await withTempMount(await plain.mounts(active(2, [1])), async (path) =>
      assert.equal(readFileSync(join(path, 'file-1'), 'utf8'), 'of 1'),
    );
    assert.equal((await plain.applyTarget?.(await plain.mounts(active(2, [1]))))?.layer, undefined);
  });
});

test('in a user namespace there are only directories', async () => {
  const dir = mkdtempSync(join(scratch, 'berth-layers-'));
  mkdirSync(join(dir, 'root'));
  const driver = new URL('../../src/snapshots/overlayfs/driver.ts', import.meta.url);
  const script = `const { openOverlayDriver } = await import(${JSON.stringify(driver.href)});
      const { exports } = await openOverlayDriver({ root: ${JSON.stringify(join(dir, 'root'))} });
      console.log(exports.layers);`;
  const found = await output('unshare', ['-Urm', process.execPath, '--input-type=module', '-e', script]);
  assert.equal(found, 'directories');
  rmSync(dir, { recursive: true });
});
