import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { applyLayer } from '../../src/layers/apply.ts';
import { forRebase } from '../../src/layers/target.ts';
import { finishLayer } from '../../src/layers/unfinished.ts';
import type { SnapshotDriver } from '../../src/snapshots/driver.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import type { Mount } from '../../src/snapshots/snapshotter.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { stackLayerFiles } from '../kit/layer-files.ts';
import { busyboxLayers, craftedLayers, debianLayers, manyLayers } from '../kit/layer-images.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';

/** The equality referee: our mounted tree is what GNU tar and umoci make of the same layers. */

const mediaType = 'application/vnd.oci.image.layer.v1.tar';
const scratch = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-equality-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

type Unpack = (driver: SnapshotDriver, layers: readonly string[]) => Promise<void>;

/** One after the other, each on the mounts of its parents, as a client with Diff.Apply does. */
const inOrder: Unpack = async (driver, layers) => {
  for (const [i, path] of layers.entries()) {
    const snapshot = snapshotOf(i + 1, i);
    await driver.create(snapshot);
    const applied = await applyLayer({ source: { path }, mediaType, to: await driver.mounts(snapshot) });
    assert.equal(applied.unfinished?.links.length ?? 0, 0);
  }
};

/** All at once, each without its parent, completed in order, as our own pull does. */
const atOnce: Unpack = async (driver, layers) => {
  const applied = await Promise.all(
    layers.map(async (path, i) => {
      const alone = { ...snapshotOf(i + 1, 0), parents: [] };
      await driver.create(alone);
      const mounts = await driver.mounts(alone);
      return applyLayer({ source: { path }, mediaType, to: i === 0 ? mounts : forRebase(mounts) });
    }),
  );
  const fs = (id: number) => join(driver.root, 'snapshots', String(id), 'fs');
  for (const [i, { unfinished }] of applied.entries())
    if (unfinished && i > 0) await finishLayer(fs(i + 1), snapshotOf(i + 1, i).parents.map(fs), unfinished);
};

const snapshotOf = (id: number, parents: number) => ({
  id,
  kind: 'active' as const,
  parents: Array.from({ length: parents }, (_, i) => parents - i),
  labels: {},
});

async function ours(layers: readonly string[], unpack: Unpack): Promise<Tree> {
  const driver = await openOverlayDriver({ root: mkdtempSync(join(scratch, 'ours-')) });
  await unpack(driver, layers);
  const view = { ...snapshotOf(layers.length + 1, layers.length), kind: 'view' as const };
  await driver.create(view);
  return treeOf(await driver.mounts(view));
}

async function treeOf(mounts: readonly Mount[]): Promise<Tree> {
  let tree: Tree = new Map();
  await withTempMount(mounts, async (root) => {
    tree = readTree(root);
  });
  return tree;
}

/** Each layer a file, mounted one on the other. */
async function asLayerFiles(layers: readonly string[]): Promise<Tree> {
  await using stack = await stackLayerFiles(layers, scratch);
  const [only] = stack.lower;
  assert.ok(only);
  if (stack.lower.length === 1) return readTree(only);
  const options = [`lowerdir=${stack.lower.join(':')}`];
  return await treeOf([{ type: 'overlay', source: 'overlay', options }]);
}

/** GNU tar extracts; whiteouts are carried out here, by name, before each layer. */
function gnuTar(layers: readonly string[]): Tree {
  const root = mkdtempSync(join(scratch, 'gnu-'));
  for (const layer of layers) {
    for (const name of namesOf(layer)) makeWay(root, name);
    const how = [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '--same-owner',
      '-p',
      '--exclude=.wh.*',
    ];
    execFileSync('tar', [...how, '-C', root, '-xf', layer]);
  }
  return readTree(root);
}

const namesOf = (layer: string): string[] =>
  execFileSync('tar', ['--quoting-style=literal', '-tf', layer], {
    encoding: 'latin1',
    maxBuffer: 1 << 26,
  }).split('\n');

/** Carries out a whiteout; removes a directory where a file is to be, and the other way round. */
function makeWay(root: string, name: string): void {
  const [, parent, base] = /^(.*?)([^/]*)\/?$/.exec(name) ?? [];
  if (parent === undefined || base === undefined || base === '' || base === '.') return;
  const directory = join(root, parent);
  const existing = lstatSync(join(directory, base), { throwIfNoEntry: false });
  if (base === '.wh..wh..opq') for (const child of readdirSync(directory)) remove(join(directory, child));
  else if (base.startsWith('.wh.')) remove(join(directory, base.slice(4)));
  else if (existing && existing.isDirectory() !== name.endsWith('/')) remove(join(directory, base));
}

const remove = (path: string): void => rmSync(path, { recursive: true, force: true });

/** umoci unpacks an image of these layers. */
function umoci(layers: readonly string[]): Tree {
  const work = mkdtempSync(join(scratch, 'umoci-'));
  const image = `${work}/layout:test`;
  const run = (...args: string[]) => execFileSync('umoci', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  run('init', '--layout', `${work}/layout`);
  run('new', '--image', image);
  for (const layer of layers) run('raw', 'add-layer', '--image', image, layer);
  run('unpack', '--image', image, `${work}/bundle`);
  return readTree(`${work}/bundle/rootfs`);
}

const images: Record<string, () => string[]> = {
  busybox: () => busyboxLayers(scratch),
  'Debian base': debianLayers,
  'whiteouts, links, xattrs and devices': () => craftedLayers(scratch),
  '100 layers': () => manyLayers(scratch),
};

for (const [name, make] of Object.entries(images))
  describe(`an image of ${name}`, () => {
    let layers: string[] = [];
    let tree: Tree = new Map();
    before(async () => {
      layers = make();
      tree = await ours(layers, inOrder);
      assert.ok(tree.size > 10);
    });
    test('equals what GNU tar extracts', () => assert.deepEqual(compareTrees(tree, gnuTar(layers)), []));
    test('equals what umoci unpacks', () => assert.deepEqual(compareTrees(tree, umoci(layers)), []));
    test('is the same when its layers are applied all at once', async () =>
      assert.deepEqual(compareTrees(await ours(layers, atOnce), tree), []));
    test('is the same when its layers are files that are mounted', async () =>
      assert.deepEqual(compareTrees(await asLayerFiles(layers), tree), []));
  });

test('the referee sees a difference', () => {
  const [layer] = busyboxLayers(scratch);
  assert.ok(layer);
  const root = mkdtempSync(join(scratch, 'planted-'));
  execFileSync('tar', ['-C', root, '-xf', layer]);
  const before = readTree(root);
  const path = join(root, 'bin/busybox');
  assert.ok(lstatSync(path).nlink > 1);
  execFileSync('setfattr', ['-n', 'user.planted', '-v', 'x', path]);
  mkdirSync(join(dirname(path), 'extra'));
  assert.ok(compareTrees(readTree(root), before).length >= 2);
});
