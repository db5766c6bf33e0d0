import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openBlob } from '../../src/content/local/open-blob.ts';
import { isKind } from '../../src/errors/error.ts';
import { forRebase } from '../../src/layers/target.ts';
import { applyTargets } from '../../src/snapshots/apply-target.ts';
import type { DriverSnapshot, SnapshotDriver } from '../../src/snapshots/driver.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import type { Mount } from '../../src/snapshots/snapshotter.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { writeLayer } from '../../src/transfer/write-layer.ts';
import { dir, file, hardlink, symlink, type TarMember, tar } from '../kit/tar-builder.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { cannot } from './modes.ts';

/** Layers applied to snapshots: as files and as directories, which must look the same. */

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';

/** Snapshots 1, 2, 3, … in a chain, each made in a way of its own. */
class Chain implements AsyncDisposable {
  readonly #dir: string;
  readonly driver: SnapshotDriver & AsyncDisposable;
  #parents: number[] = [];

  private constructor(path: string, driver: SnapshotDriver & AsyncDisposable) {
    this.#dir = path;
    this.driver = driver;
  }

  static async open(mode: 'erofs' | 'directories'): Promise<Chain> {
    const path = mkdtempSync(join(scratch, 'berth-apply-'));
    return new Chain(path, await openOverlayDriver({ root: path, mode }));
  }

  get next(): DriverSnapshot {
    return { id: this.#parents.length + 1, kind: 'active', parents: this.#parents, labels: {} };
  }

  /** On its parents, as a client that unpacks layer by layer. */
  async prepare(): Promise<DriverSnapshot> {
    await this.driver.create(this.next);
    return this.next;
  }

  async apply(mounts: readonly Mount[], ...members: readonly TarMember[]): Promise<void> {
    const mediaType = 'application/vnd.oci.image.layer.v1.tar';
    const path = join(this.#dir, 'layer.tar');
    writeFileSync(path, tar(...members));
    await using from = openBlob(path);
    await using written = await writeLayer(applyTargets([this.driver]), {
      from,
      mediaType,
      mounts,
    });
    if (written.unfinished === undefined) await written.finish([]);
    else await written.finish(await this.lower());
  }

  async commit(snapshot = this.next): Promise<void> {
    await this.driver.commit(snapshot);
    this.#parents = [snapshot.id, ...this.#parents];
  }

  /** Prepares on its parents, applies, commits. */
  async layer(...members: readonly TarMember[]): Promise<void> {
    await this.apply(await this.driver.mounts(await this.prepare()), ...members);
    await this.commit();
  }

  /** Prepares without its parents, applies, commits: what our own pull does. */
  async rebased(...members: readonly TarMember[]): Promise<void> {
    const alone = { ...this.next, parents: [] };
    await this.driver.create(alone);
    await this.apply(forRebase(await this.driver.mounts(alone)), ...members);
    await this.commit();
  }

  async lower(): Promise<string[]> {
    const [view] = await this.driver.mounts({ ...this.next, kind: 'view', id: 999 });
    const lower = view?.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length);
    return lower?.split(':') ?? [view?.source ?? ''];
  }

  kind(id: number): string[] {
    return readdirSync(join(this.#dir, 'snapshots', String(id))).sort();
  }

  /** What a container on the chain sees. Directories that no layer describes have the time at which they were made. */
  async tree(snapshot: DriverSnapshot = { ...this.next, kind: 'view' }): Promise<Tree> {
    let tree: Tree = new Map();
    await withTempMount(await this.driver.mounts(snapshot), async (path) => {
      tree = readTree(path, { ignoreMtime: (name) => name.includes('implicit') });
    });
    return tree;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver[Symbol.asyncDispose]();
    await unmountTree(this.#dir);
    rmSync(this.#dir, { recursive: true });
  }
}

const base = [
  dir('d', { mode: 0o750, uid: 7 }),
  file('d/f', 'one'),
  file('gone', 'x'),
  dir('o'),
  file('o/old'),
];

const scenarios: Record<string, (chain: Chain) => Promise<unknown>> = {
  async 'layer upon layer, each on its parents'(chain) {
    await chain.layer(...base);
    await chain.layer(file('.wh.gone'), file('o/.wh..wh..opq'), file('o/new'), file('d/implicit/g', 'two'));
    await chain.layer(file('d/f', 'three'), symlink('l', 'd/f'));
  },
  async 'layers without their parents'(chain) {
    await chain.layer(...base);
    await chain.rebased(
      file('.wh.gone'),
      file('o/.wh..wh..opq'),
      file('o/new'),
      file('d/h', 'directory inherited'),
    );
    await chain.rebased(file('d/f', 'three'), symlink('l', 'd/f'));
  },
  async 'a hard link into a lower layer, with and without its parents'(chain) {
    await chain.layer(...base);
    await chain.layer(hardlink('d/again', 'd/f'));
    await chain.rebased(hardlink('once-more', 'd/f'), file('y'));
  },
  async 'a lowest layer that deletes what nobody has'(chain) {
    await chain.layer(...base, file('.wh.nothing'), file('d/.wh..wh..opq'), file('none/.wh.nothing'));
  },
  async 'a layer applied above files that were there'(chain) {
    const snapshot = await chain.prepare();
    await withTempMount(await chain.driver.mounts(snapshot), async (path) =>
      mkdirSync(join(path, 'implicit')),
    );
    await chain.apply(await chain.driver.mounts(snapshot), ...base);
    await chain.commit();
  },
  async 'changes made after a layer was applied'(chain) {
    const snapshot = await chain.prepare();
    await chain.apply(await chain.driver.mounts(snapshot), ...base);
    assert.ok((await chain.tree(snapshot)).has('d/f'), 'Mounts shows what was applied');
    await withTempMount(await chain.driver.mounts(snapshot), async (path) => {
      unlinkSync(join(path, 'gone'));
      assert.equal(readFileSync(join(path, 'd/f'), 'utf8'), 'one');
    });
    await chain.commit();
    await chain.layer(file('more'));
  },
};

const skip = await cannot('erofs');

describe('a layer applied to a snapshot looks the same as a file and as a directory', () => {
  for (const [name, play] of Object.entries(scenarios))
    test(name, { skip }, async () => {
      await using files = await Chain.open('erofs');
      await using directories = await Chain.open('directories');
      for (const chain of [files, directories]) await play(chain);
      const tree = await files.tree();
      assert.ok(tree.size > 3, 'there is something to compare');
      assert.deepEqual(compareTrees(tree, await directories.tree()), []);
    });
});

describe('an applied layer', { skip }, () => {
  test('is one file where it can be, and a directory where it has hard links into lower ones', async () => {
    await using chain = await Chain.open('erofs');
    await chain.layer(...base);
    await chain.rebased(file('a'));
    await chain.layer(hardlink('d/again', 'd/f'));
    assert.deepEqual(
      [1, 2].map((id) => chain.kind(id)),
      [['layer.erofs'], ['layer.erofs']],
    );
    assert.ok(chain.kind(3).includes('fs') && !chain.kind(3).includes('layer.erofs'));
  });

  test('is changed by a second one, whiteouts included, as if it lay beneath', async () => {
    await using chain = await Chain.open('erofs');
    await chain.layer(file('below'));
    for (const parents of [true, false]) {
      const snapshot = parents ? await chain.prepare() : { ...chain.next, parents: [] };
      if (!parents) await chain.driver.create(snapshot);
      const mounts = await chain.driver.mounts(snapshot);
      await chain.apply(mounts, ...base);
      await chain.apply(
        mounts,
        file('.wh.gone'),
        file('.wh.below'),
        file('o/.wh..wh..opq'),
        file('d/f', 'two'),
      );
      await chain.commit(snapshot);
      assert.deepEqual([...(await chain.tree()).keys()].sort(), ['d', 'd/f', 'o']);
      assert.match((await chain.tree()).get('d') ?? '', /^mode=40750 owner=7:0/);
    }
  });

  test('that is malformed leaves the snapshot empty and ready for another', async () => {
    await using chain = await Chain.open('erofs');
    const snapshot = await chain.prepare();
    const mounts = await chain.driver.mounts(snapshot);
    await assert.rejects(chain.apply(mounts, file('../out')), (error) => isKind(error, 'invalid_argument'));
    assert.deepEqual(chain.kind(1), ['fs', 'work']);
    await chain.apply(mounts, ...base);
    await chain.commit();
    assert.deepEqual(chain.kind(1), ['layer.erofs']);
  });

  test('of a snapshot that is removed meanwhile is given up', async () => {
    await using chain = await Chain.open('erofs');
    const snapshot = await chain.prepare();
    await using target = await chain.driver.applyTarget?.(await chain.driver.mounts(snapshot));
    writeFileSync(target?.layer?.path ?? '', '');
    await chain.driver.remove(snapshot.id);
    await assert.rejects(target?.layer?.adopt() ?? Promise.resolve(), (error) => isKind(error, 'not_found'));
    assert.ok(!existsSync(join(chain.driver.root, 'snapshots/1')));
  });
});
