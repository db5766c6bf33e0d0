import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { readRows, violations } from '../kit/checker.ts';
import { TestDaemon } from '../kit/daemon.ts';
import { layerMount } from '../kit/layer-files.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output } from '../kit/run.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { unmountFreed } from '../kit/unmount.ts';
import { pushImages } from './images.ts';
import { chaosSeed, Random } from './random.ts';

const cuts = Number(process.env.BERTH_CHAOS_CUTS ?? 5);
/** The disk of the daemon, and what is left of it after each cut, in memory: a copy takes no time. */
const disks = '/dev/shm';
const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

/** What a disk held at one moment, and the images that were acknowledged before it. */
interface Cut {
  readonly image: string;
  readonly acknowledged: readonly string[];
}

test(`a power cut at ${cuts} random moments of pulls keeps acknowledged images and shows nothing half-made`, async (t) => {
  const random = new Random(chaosSeed());
  await using registry = await TestRegistry.start();
  const images = await pushImages(registry);
  await using disk = await Disk.make();
  await using daemon = new TestDaemon({ dir: disk.dir });
  await daemon.start();
  const found: Cut[] = [];
  for (let n = 0; n < cuts; n++) found.push(await cutWhilePulling(daemon, disk, images, random));
  using client = connect({ address: daemon.address });
  for (const image of images) await client.images.pull(image).image();
  const whole = await snapshotTrees(daemon.root);
  assert.ok(whole.size > 8, 'the trees to compare with are there');
  for (const [n, cut] of found.entries()) {
    await t.test(`cut ${n + 1}: ${cut.acknowledged.length} images were acknowledged`, () =>
      checkCut(cut, whole),
    );
  }
});

/** Pulls and removes images one after the other until the power is cut, at a random moment. */
async function cutWhilePulling(
  daemon: TestDaemon,
  disk: Disk,
  images: readonly string[],
  random: Random,
): Promise<Cut> {
  const acknowledged = new Set<string>();
  using client = connect({ address: daemon.address });
  for (const { name } of await client.images.list()) await client.images.remove(name, { sync: true });
  let isOver = false;
  const pulling = (async () => {
    while (!isOver) {
      const image = random.pick(images);
      acknowledged.delete(image);
      await client.images.remove(image, { sync: true }).catch(() => {});
      await client.images.pull(image).image();
      acknowledged.add(image);
    }
  })();
  await sleep(random.between(300, 3_000));
  process.kill(daemon.pid, 'SIGSTOP');
  const known = [...acknowledged];
  const copy = await disk.copy();
  process.kill(daemon.pid, 'SIGCONT');
  isOver = true;
  await pulling;
  return { image: copy, acknowledged: known };
}

async function checkCut({ image, acknowledged }: Cut, whole: ReadonlyMap<string, Tree>): Promise<void> {
  await using disk = await Disk.open(image);
  await using daemon = new TestDaemon({ dir: disk.dir });
  await daemon.start();
  using client = connect({ address: daemon.address });
  const here = new Set((await client.images.list()).map(({ name }) => name));
  const lost = acknowledged.filter((name) => !here.has(name)).map((name) => `I1: image ${name} is lost`);
  const { id } = await client.leases.create();
  await client.leases.delete(id, { sync: true });
  assert.deepEqual(
    [...lost, ...violations(daemon.root, daemon.state), ...(await differences(daemon.root, whole))],
    [],
  );
  for (const name of acknowledged) await client.images.pull(name).image();
}

/** I2: a committed snapshot holds every byte of its layer. */
async function differences(root: string, whole: ReadonlyMap<string, Tree>): Promise<string[]> {
  return [...(await snapshotTrees(root))].flatMap(([name, tree]) => {
    const expected = whole.get(name);
    if (expected === undefined) return [`I2: snapshot ${name} is of no image`];
    return compareTrees(tree, expected).map((line) => `I2: snapshot ${name}: ${line}`);
  });
}

/** Every committed snapshot by name, as it lies on disk. */
async function snapshotTrees(root: string): Promise<Map<string, Tree>> {
  const rows = readRows(join(root, 'metadata.db')).snapshots.filter(({ kind }) => kind === 'committed');
  const trees = new Map<string, Tree>();
  for (const { id, name } of rows)
    trees.set(name, await treeOf(join(root, 'snapshots/overlayfs/snapshots', String(id))));
  return trees;
}

/** Of a snapshot's directory: a layer file, or a directory. */
async function treeOf(path: string): Promise<Tree> {
  let tree: Tree = new Map();
  if (existsSync(join(path, 'fs'))) tree = layerTree(join(path, 'fs'));
  else if (existsSync(join(path, 'layer.erofs')))
    await withTempMount(layerMount(join(path, 'layer.erofs')), async (root) => {
      tree = layerTree(root);
    });
  return tree;
}

/** A whiteout has the time it was made at. */
const layerTree = (path: string): Tree =>
  new Map(
    [...readTree(path)].map(([name, what]) => [
      name,
      what.includes(' device=0:0 ') ? what.replace(/ mtime=\d+/, '') : what,
    ]),
  );

/** An ext4 file system in a file, mounted; disposal unmounts it and removes the file. */
class Disk implements AsyncDisposable {
  readonly path: string;
  readonly #image: string;
  #copies = 0;

  private constructor(image: string, path: string) {
    this.#image = image;
    this.path = path;
    mkdirSync(this.dir, { recursive: true });
  }

  /** For a daemon. */
  get dir(): string {
    return join(this.path, 'd');
  }

  static async make(): Promise<Disk> {
    const image = join(mkdtempSync(join(disks, 'berth-disk-')), 'disk');
    await output('truncate', ['-s', '400M', image]);
    await output('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0', image]);
    return Disk.open(image);
  }

  /** Mounting plays the journal back, as after a power cut. */
  static async open(image: string): Promise<Disk> {
    mkdirSync(work, { recursive: true });
    const path = mkdtempSync(join(work, 'disk-'));
    await output('mount', ['-o', 'loop', image, path]);
    return new Disk(image, path);
  }

  /** What has reached the disk by now; what the kernel still holds back is lost. */
  async copy(): Promise<string> {
    const path = `${this.#image}-${++this.#copies}`;
    await output('cp', ['--sparse=always', this.#image, path]);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await unmountFreed(this.path);
    rmSync(this.path, { recursive: true });
    rmSync(this.#image);
    // The last of the disk and its copies takes the directory along.
    if (readdirSync(dirname(this.#image)).length === 0) rmdirSync(dirname(this.#image));
  }
}
