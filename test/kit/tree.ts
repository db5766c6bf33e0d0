import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { AT_FDCWD, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG } from '../../src/sys/constants.ts';
import { readlinkAt } from '../../src/sys/files.ts';
import { type FileStat, statAt, typeOf } from '../../src/sys/stat.ts';
import { getXattr, listXattrs } from '../../src/sys/xattr.ts';

/** What one file of a tree is, as text that can be compared and read. Keys are byte strings (latin1). */
export type Tree = ReadonlyMap<string, string>;

export interface TreeOptions {
  /** Leave out access to times of these. Default: none are left out. */
  readonly ignoreMtime?: (path: string) => boolean;
  /** Xattrs to compare. Default: all but security.selinux and overlayfs' own. */
  readonly xattr?: (name: string) => boolean;
}

const defaultXattr = (name: string) => name !== 'security.selinux' && !name.includes('.overlay.');

/**
 * Walks a tree as it is seen by readers: path ▶ type, mode, owner, size, device, link target, content hash, xattrs,
 * mtime in nanoseconds, link count and which other names are the same file. The root itself is left out.
 */
export function readTree(root: string, options: TreeOptions = {}): Tree {
  const tree = new Map<string, string>();
  const firstNames = new Map<bigint, string>();
  const visit = (path: Buffer, relative: Buffer): void => {
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const name of names) {
      const full = Buffer.concat([path, Buffer.from('/'), name]);
      const key = relative.length === 0 ? name : Buffer.concat([relative, Buffer.from('/'), name]);
      const text = key.toString('latin1');
      const stat = statAt(AT_FDCWD, full);
      tree.set(text, describe(full, text, stat, firstNames, options));
      if (typeOf(stat) === S_IFDIR) visit(full, key);
    }
  };
  visit(Buffer.from(root), Buffer.alloc(0));
  return tree;
}

function describe(
  path: Buffer,
  key: string,
  stat: FileStat,
  firstNames: Map<bigint, string>,
  { ignoreMtime, xattr = defaultXattr }: TreeOptions,
): string {
  const type = typeOf(stat);
  const words = [`mode=${stat.mode.toString(8)}`, `owner=${stat.uid}:${stat.gid}`];
  if (type === S_IFREG) words.push(`size=${stat.sizeBytes}`, `sha256=${hashOf(path)}`);
  if (type === S_IFLNK) words.push(`to=${JSON.stringify(readlinkAt(AT_FDCWD, path).toString('latin1'))}`);
  if (type === S_IFCHR || type === S_IFBLK) words.push(`device=${stat.rdev.major}:${stat.rdev.minor}`);
  if (type !== S_IFDIR) words.push(`links=${stat.nlink}`, `same=${sameAs(stat, key, firstNames)}`);
  if (!ignoreMtime?.(key)) words.push(`mtime=${stat.mtimeNs}`);
  for (const name of listXattrs(path)
    .map((n) => n.toString('latin1'))
    .filter(xattr)
    .sort())
    words.push(`${name}=${getXattr(path, Buffer.from(name, 'latin1'))?.toString('hex')}`);
  return words.join(' ');
}

function sameAs(stat: FileStat, key: string, firstNames: Map<bigint, string>): string {
  if (stat.nlink < 2) return key;
  const first = firstNames.get(stat.ino) ?? key;
  firstNames.set(stat.ino, first);
  return first;
}

const hashOf = (path: Buffer): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);

/** The differences, one line each, at most `limit`; empty when both trees are the same. */
export function compareTrees(ours: Tree, theirs: Tree, limit = 20): string[] {
  const lines: string[] = [];
  for (const [path, description] of theirs) {
    const own = ours.get(path);
    if (own === undefined) lines.push(`missing ${JSON.stringify(path)}: ${description}`);
    else if (own !== description)
      lines.push(`differs ${JSON.stringify(path)}: ours ${own} | theirs ${description}`);
  }
  for (const path of ours.keys()) if (!theirs.has(path)) lines.push(`extra ${JSON.stringify(path)}`);
  return lines.slice(0, limit);
}
