import { readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, S_IFDIR, S_IFLNK } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { chmodAt, chownAt, openAt } from '../../sys/files.ts';
import { type FileStat, statAt, statFd, typeOf } from '../../sys/stat.ts';
import { getXattr, pathIn, setXattr } from '../../sys/xattr.ts';
import { type IdMaps, ownerOutside } from './id-maps.ts';

const sliceMs = 5;
const capability = 'security.capability';

/**
 * Gives every file of a tree the owner that `maps` has for it, keeping setuid bits and capabilities; owners without an
 * entry are left. Follows no link. For where owners cannot be mapped: in an overlay it copies every file. @throws SysError
 */
export async function chownTree(path: string, maps: IdMaps): Promise<void> {
  using root = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  const seen = new Set<bigint>();
  let sliceStart = performance.now();
  for (const _ of steps(root, maps, seen)) {
    if (performance.now() - sliceStart < sliceMs) continue;
    await setImmediate();
    sliceStart = performance.now();
  }
  chownOne(root, '.', statFd(root), maps);
}

function* steps(dir: Fd, maps: IdMaps, seen: Set<bigint>): Generator<void> {
  for (const name of readdirSync(dir.procPath, { encoding: 'buffer' })) {
    const stat = statAt(dir, name);
    if (typeOf(stat) === S_IFDIR) {
      using below = openAt(dir, name, O_RDONLY | O_DIRECTORY);
      yield* steps(below, maps, seen);
    } else if (stat.nlink > 1) {
      // Another name of a file that has its owner already would be mapped twice.
      if (seen.has(stat.ino)) continue;
      seen.add(stat.ino);
    }
    chownOne(dir, name, stat, maps);
    yield;
  }
}

function chownOne(dir: Fd, name: Buffer | string, stat: FileStat, maps: IdMaps): void {
  const [uid, gid] = ownerOutside(maps, stat.uid, stat.gid);
  if (uid === stat.uid && gid === stat.gid) return;
  const path = pathIn(dir, name);
  const capabilities = typeOf(stat) === S_IFLNK ? undefined : getXattr(path, capability);
  chownAt(dir, name, uid, gid);
  if (typeOf(stat) !== S_IFLNK) chmodAt(dir, name, stat.mode & 0o7777);
  if (capabilities !== undefined) setXattr(path, capability, capabilities);
}
