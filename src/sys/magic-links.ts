import { codeOf } from '../errors/error.ts';
import { S_IFLNK } from './constants.ts';
import type { FdLike } from './fd.ts';
import { readlinkAt } from './files.ts';
import { statAt, typeOf } from './stat.ts';

/** Directories of links to open files and roots, which lead out of a container by descriptors that a runtime holds. */
const magic = /^\/(?:proc\/(?:self|thread-self|\d+)|dev\/fd)(?:\/|$)/;
const maxLinks = 40;

/**
 * Whether `path` (as seen from inside) goes through such a directory on its way, links of the root file system followed;
 * without `root` by its words alone. What is not there yet counts as a directory: /proc is mounted later (CVE-2024-21626).
 */
export function goesThroughMagicLink(path: string, root?: FdLike): boolean {
  const ahead = componentsOf(path);
  const behind: string[] = [];
  for (let links = 0; ahead.length > 0; ) {
    const name = ahead.shift() ?? '';
    if (name === '..') {
      behind.pop();
      continue;
    }
    behind.push(name);
    if (magic.test(`/${behind.join('/')}`)) return true;
    const link = root === undefined ? undefined : linkAt(root, behind.join('/'));
    if (link === undefined) continue;
    if (++links > maxLinks) return true;
    if (link.startsWith('/')) behind.length = 0;
    else behind.pop();
    ahead.unshift(...componentsOf(link));
  }
  return false;
}

const componentsOf = (path: string): string[] =>
  path.split('/').filter((name) => name !== '' && name !== '.');

/** Where a link leads, undefined for anything else. Everything before its last name is no link: the caller sees to that. */
function linkAt(root: FdLike, path: string): string | undefined {
  try {
    return typeOf(statAt(root, path)) === S_IFLNK ? readlinkAt(root, path).toString() : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}
