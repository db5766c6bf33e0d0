import { closeSync, fdatasync, openSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf } from '../../errors/error.ts';
import { removeTree } from '../../sys/remove-tree.ts';
import { listXattrs } from '../../sys/xattr.ts';
import { sealDirectory } from '../seal-directory.ts';
import type { SnapshotUsage } from '../snapshotter.ts';
import type { Body } from './bodies.ts';
import { readErofsFile } from './erofs-file.ts';
import type { SnapshotPaths } from './snapshot-paths.ts';

/** What a snapshot came to be when it was committed. */
export interface Committed {
  readonly usage: SnapshotUsage;
  readonly body: Body;
}

/** A directory: all its files on disk. */
export async function commitDirectory(paths: SnapshotPaths, id: number): Promise<Committed> {
  const usage = await sealDirectory(paths.fs(id));
  return { usage, body: { directory: true, layer: false } };
}

const syncData = promisify(fdatasync);

/**
 * A layer file: on disk, and the directory above it gone where nobody has touched it.
 * @throws data_loss when the file is not whole
 */
export async function commitLayer(paths: SnapshotPaths, id: number): Promise<Committed> {
  const directory = !(await dropUntouched(paths, id));
  let own: SnapshotUsage = { sizeBytes: 0, inodes: 0 };
  if (directory) {
    await writeFile(paths.layered(id), '');
    own = (await commitDirectory(paths, id)).usage;
  }
  const [{ diskBytes, inodes }] = await Promise.all([readErofsFile(paths.layer(id)), syncLayer(paths, id)]);
  const usage = { sizeBytes: own.sizeBytes + diskBytes, inodes: own.inodes + inodes };
  return { usage, body: { directory, layer: true } };
}

async function dropUntouched(paths: SnapshotPaths, id: number): Promise<boolean> {
  try {
    if (!isUntouched(paths.fs(id))) return false;
    rmdirSync(paths.fs(id));
  } catch (error) {
    if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EBUSY') return false;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  await removeTree(paths.work(id));
  return true;
}

/**
 * Empty, and as it is made where the snapshot beneath has nothing special: then the root of a layer file is the same. At
 * once: layers are committed one after the other, and libuv's threads are busy with those to come.
 */
function isUntouched(fs: string): boolean {
  const { mode, uid, gid } = statSync(fs);
  if ((mode & 0o7777) !== 0o755 || uid !== 0 || gid !== 0) return false;
  if (listXattrs(fs).some((name) => !name.includes('.overlay.'))) return false;
  return readdirSync(fs).length === 0;
}

/** A layer file, by default that of the snapshot, and the directories it is found by are on disk on return. */
export async function syncLayer(paths: SnapshotPaths, id: number, layer = paths.layer(id)): Promise<void> {
  await Promise.all([layer, paths.directory(id), paths.snapshots].map(syncFile));
}

async function syncFile(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await syncData(fd);
  } finally {
    closeSync(fd);
  }
}
