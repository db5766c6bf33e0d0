import { readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { codeOf } from '../errors/error.ts';
import { openBeneath } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, S_IFDIR } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { statAt, statFd, typeOf } from '../sys/stat.ts';
import type { SnapshotUsage } from './snapshotter.ts';

const sliceMs = 5;
const slash = Buffer.from('/');

interface Count {
  sizeBytes: number;
  inodes: number;
  readonly linked: Set<bigint>;
  readonly directories: Buffer[];
}

/**
 * What a directory tree takes on disk, counted as `du` does: allocated blocks, hard links once, the top included.
 * Never follows a link nor leaves the tree, also when it changes meanwhile (what vanishes is not counted); lets the
 * event loop run every few milliseconds. Directories deeper than PATH_MAX are left out. @throws SysError
 */
export async function diskUsage(path: string): Promise<SnapshotUsage> {
  using root = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  const top = statFd(root);
  const count: Count = { sizeBytes: top.blocks * 512, inodes: 1, linked: new Set(), directories: [] };
  countEntries(count, root, Buffer.alloc(0));
  let sliceStart = performance.now();
  for (let next = count.directories.pop(); next !== undefined; next = count.directories.pop()) {
    countDirectory(count, root, next);
    if (performance.now() - sliceStart < sliceMs) continue;
    await setImmediate();
    sliceStart = performance.now();
  }
  return { sizeBytes: count.sizeBytes, inodes: count.inodes };
}

function countDirectory(count: Count, root: Fd, path: Buffer): void {
  try {
    using dir = openBeneath(root, path, O_RDONLY | O_DIRECTORY);
    countEntries(count, dir, path);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function countEntries(count: Count, dir: Fd, path: Buffer): void {
  for (const name of readdirSync(dir.procPath, { encoding: 'buffer' })) {
    try {
      countOne(count, dir, path, name);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

function countOne(count: Count, dir: Fd, path: Buffer, name: Buffer): void {
  const stat = statAt(dir, name);
  const isDirectory = typeOf(stat) === S_IFDIR;
  if (isDirectory) count.directories.push(path.length === 0 ? name : Buffer.concat([path, slash, name]));
  else if (stat.nlink > 1) {
    if (count.linked.has(stat.ino)) return;
    count.linked.add(stat.ino);
  }
  count.sizeBytes += stat.blocks * 512;
  count.inodes++;
}

const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(codeOf(error) ?? '');
