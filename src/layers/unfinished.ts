import { mkdtemp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, isKind } from '../errors/error.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import { Fd } from '../sys/fd.ts';
import { chmodAt, chownAt, linkFd, openAt, utimesAt } from '../sys/files.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { mountTemporarily } from '../sys/temp-mount.ts';
import { pathIn, setXattr } from '../sys/xattr.ts';
import { DirectoryCache } from './directory-cache.ts';
import { type DirectoryAttributes, findDirectory, inheritAttributes } from './inherited.ts';
import { splitPath, toPath } from './member-path.ts';
import { printable } from './pax.ts';
import { removeSync } from './remove-sync.ts';
import type { ByteString } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/** What a layer needs from the layers below it. */
export interface Unfinished {
  /** Directories it uses without describing them. */
  readonly implicitDirectories: readonly ByteString[];
  /** Hard links (path, target) to files it does not bring. */
  readonly links: readonly (readonly [ByteString, ByteString])[];
}

/**
 * Completes a layer in `directory` (an upperdir) now that the directories below are known, nearest first: implicit
 * directories get the attributes they have there, hard links to lower files are made by a passing overlay mount, which
 * copies the file up as it would for a container. Not idempotent only in that links must not exist yet.
 * @throws invalid_argument when a hard link's target is nowhere
 */
export async function finishLayer(
  directory: string,
  lower: readonly string[],
  unfinished: Unfinished,
): Promise<void> {
  if (unfinished.links.length > 0) await linkThroughOverlay(directory, lower, unfinished.links);
  if (unfinished.implicitDirectories.length > 0) inherit(directory, lower, unfinished.implicitDirectories);
}

function inherit(directory: string, lower: readonly string[], paths: readonly ByteString[]): void {
  using upper = openAt(AT_FDCWD, directory, O_PATH | O_DIRECTORY);
  inheritAttributes(lower, paths, (attributes, path) => {
    using to = findDirectory(upper, path);
    if (to instanceof Fd) setAttributes(to, attributes);
  });
}

function setAttributes(to: Fd, { mode, uid, gid, atimeNs, mtimeNs, xattrs }: DirectoryAttributes): void {
  chownAt(to, '', uid, gid);
  chmodAt(to, '.', mode);
  for (const [name, value] of xattrs) setXattr(pathIn(to, '.'), name, value);
  utimesAt(to, '', atimeNs, mtimeNs);
}

async function linkThroughOverlay(directory: string, lower: readonly string[], links: Unfinished['links']) {
  const first = links[0];
  if (lower.length === 0 && first !== undefined) throw missing(...first);
  const workDirectory = await mkdtemp(join(dirname(directory), 'link-'));
  try {
    const options = [
      `lowerdir=${lower.map(escapePath).join(':')}`,
      `upperdir=${escapePath(directory)}`,
      `workdir=${escapePath(workDirectory)}`,
      'index=off',
    ];
    await using mounted = await mountTemporarily([{ type: 'overlay', source: 'overlay', options }]);
    linkAll(mounted.path, links);
  } finally {
    await removeTree(workDirectory);
  }
}

const escapePath = (path: string): string => path.replace(/[\\:,]/g, '\\$&');

function linkAll(path: string, links: Unfinished['links']): void {
  using root = openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  using cache = new DirectoryCache(root, () => {});
  for (const [to, from] of links) {
    try {
      linkOne(cache, to, from);
    } catch (error) {
      throw codeOf(error) === 'ENOENT' || isKind(error, 'not_found') ? missing(to, from) : error;
    }
  }
}

function linkOne(cache: DirectoryCache, to: ByteString, from: ByteString): void {
  const target = splitPath(from);
  const place = splitPath(to);
  const source = cache.find(target.directory);
  if (source === undefined) throw missing(to, from);
  using file = openAt(source, toPath(target.base), O_PATH);
  const parent = cache.ensure(place.directory);
  removeSync(parent, toPath(place.base));
  linkFd(file, parent, toPath(place.base));
}

/** The error of a hard link whose target no layer has. */
export const missing = (to: ByteString, from: ByteString) =>
  badTar(`${printable(to)} links to ${printable(from)}, which is nowhere`);
