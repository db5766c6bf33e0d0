import { readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { codeOf, failedPrecondition } from '../errors/error.ts';
import { openAt2, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from './beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from './constants.ts';
import type { Fd, FdLike } from './fd.ts';
import { type Path, pathText } from './ffi.ts';
import { openAt, renameAt, rmdirAt, unlinkAt } from './files.ts';
import { statFd } from './stat.ts';

/**
 * Removes a file or directory tree by descriptor: no symlink is followed, even one swapped in meanwhile, and no mount
 * point is crossed (unmount first). The parent of `path` is trusted. Idempotent; lets the event loop run every few
 * milliseconds; needs few descriptors however deep the tree is.
 * @param withinMs gives up after this long; what was removed until then stays removed
 * @returns whether all of it is gone
 * @throws failed_precondition (something is mounted in it; what was removed until then stays removed), SysError
 */
export async function removeTree(
  path: string,
  { withinMs = Number.POSITIVE_INFINITY }: { readonly withinMs?: number } = {},
): Promise<boolean> {
  const parent = openIfThere(dirname(path));
  if (!parent) return true;
  using dir = parent;
  const closing = new Set<Promise<void>>();
  const start = performance.now();
  let sliceStart = start;
  for (const closed of steps(dir, basename(path))) {
    if (closed) {
      closing.add(closed);
      void closed.then(() => closing.delete(closed));
    }
    if (closing.size >= MAX_CLOSING) await Promise.race(closing);
    const now = performance.now();
    if (now - sliceStart < SLICE_MS) continue;
    if (now - start >= withinMs) {
      await Promise.all(closing);
      return false;
    }
    await setImmediate();
    sliceStart = performance.now();
  }
  await Promise.all(closing);
  return true;
}

const SLICE_MS = 5;
const MAX_CLOSING = 8;

interface Removal {
  readonly root: Fd;
  hoisted: number;
}

const MAX_DEPTH = 32;
/** One round takes 32 levels off the deepest tree, and whatever was added or swapped during the last one. */
const MAX_ROUNDS = 10_000;

type Steps = Generator<Promise<void> | undefined, void>;

/** The work, with a pause offered at each entry, and the closing of each directory that is gone. */
function* steps(dir: Fd, name: Path): Steps {
  const top = removeFileOrOpen(dir, name);
  if (!top) return;
  using root = top;
  if (statFd(root).mountRoot) throw mounted(name);
  const removal: Removal = { root, hoisted: 0 };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    yield* removeEntries(removal, root, 0);
    if (!rmdirIfEmpty(dir, name)) continue;
    yield root.closeAside();
    return;
  }
  throw failedPrecondition(`${pathText(name)} fills up while it is being removed`);
}

function* removeEntries(removal: Removal, dir: Fd, depth: number): Steps {
  for (const name of readdirSync(dir.procPath, { encoding: 'buffer' })) {
    yield undefined;
    const child = unlessSwapped(() => removeFileOrOpen(dir, name));
    if (child) yield* removeDirectory(removal, dir, name, child, depth);
  }
}

function* removeDirectory(removal: Removal, dir: Fd, name: Buffer, opened: Fd, depth: number): Steps {
  using child = opened;
  // Too deep: move it up to the root of the tree, which is read again until it is empty.
  if (depth >= MAX_DEPTH) {
    unlessSwapped(() => renameAt(dir, name, removal.root, `.berth-removing-${removal.hoisted++}`));
    return;
  }
  yield* removeEntries(removal, child, depth + 1);
  rmdirIfEmpty(dir, name);
  yield child.closeAside();
}

/** Unlinks what is no directory; opens what is one. Gone already counts as removed. */
function removeFileOrOpen(dir: FdLike, name: Path): Fd | undefined {
  try {
    unlinkAt(dir, name);
    return undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) === 'EBUSY') throw mounted(name, error);
    if (codeOf(error) !== 'EISDIR') throw error;
  }
  return openDirectory(dir, name);
}

/** What turned into something else between two calls is left to the next round. */
function unlessSwapped<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'ENOTEMPTY'].includes(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}

function openDirectory(dir: FdLike, name: Path): Fd {
  try {
    const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    return openAt2(dir, name, O_RDONLY | O_DIRECTORY, 0, resolve);
  } catch (error) {
    throw codeOf(error) === 'EXDEV' ? mounted(name, error) : error;
  }
}

const mounted = (name: Path, cause?: unknown) =>
  failedPrecondition(`something is mounted on ${pathText(name)}`, cause);

/** @returns false where there is still something to do. */
function rmdirIfEmpty(dir: FdLike, name: Path): boolean {
  try {
    rmdirAt(dir, name);
  } catch (error) {
    if (codeOf(error) === 'EBUSY') throw mounted(name, error);
    if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'ENOTDIR') return false;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  return true;
}

function openIfThere(path: string): Fd | undefined {
  try {
    return openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
