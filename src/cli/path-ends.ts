import { getegid, geteuid } from 'node:process';
import type { BerthClient } from '../client/index.ts';
import { isKind } from '../errors/error.ts';
import { type Owners, ownedBy, ownersOf } from '../paths/owners.ts';
import { pathArchive } from '../paths/path-archive.ts';
import { findPath, pathBytes, rootOf } from '../paths/tree-path.ts';
import { firstMember, writeArchive } from '../paths/write-archive.ts';

/** What is at one end of a copy, without following a last symlink. */
export interface PathStat {
  readonly type: 'directory' | 'symlink' | 'other';
  /** Of a symlink. */
  readonly target: string;
}

/** A place that things are copied from or to: paths in a container, or on this machine. All paths are absolute. */
export interface PathEnd {
  /** Undefined where nothing is. */
  stat(path: string): Promise<PathStat | undefined>;
  /** A tar; its top is called `as`, `''` for `./`. */
  read(path: string, as: string): AsyncIterable<Uint8Array>;
  /** Puts a tar into a directory, its top called `from` in it and `to` from now on. */
  write(directory: string, archive: AsyncIterable<Uint8Array>, from: string, to: string): Promise<void>;
}

/** Paths in a container; owners are the container's root's, or with `keepOwners` those of the archive. */
export function containerEnd(client: BerthClient, id: string, keepOwners: boolean): PathEnd {
  return {
    stat: (path) => statOf(client.containers.copyFrom(id, path, { noWalk: true })),
    read: (path, as) => client.containers.copyFrom(id, as === '' ? `${path}/.` : path),
    write: (directory, archive) =>
      client.containers.copyTo(id, directory, archive, { preserveOwnership: keepOwners }),
  };
}

/** Paths on this machine; owners are whoever calls, or with `keepOwners` those of the archive. */
export function hostEnd(keepOwners: boolean): PathEnd {
  const all = ownersOf([], []);
  const own = { uid: geteuid?.() ?? 0, gid: getegid?.() ?? 0 };
  const owners: Owners = keepOwners ? all : ownedBy(all, own);
  const { signal } = new AbortController();
  async function* read(path: string, as: string, noWalk = false) {
    using root = rootOf('/');
    using found = findPath(root, pathBytes(as === '' && !noWalk ? `${path}/.` : path));
    yield* pathArchive(found, { as: bytesOf(as), noWalk, owners: all, signal });
  }
  return {
    stat: (path) => statOf(read(path, 'x', true)),
    read,
    async write(directory, archive, from, to) {
      using root = rootOf('/');
      const rename = renaming(bytesOf(from), bytesOf(to));
      await writeArchive(root, archive, { at: pathBytes(directory), owners, signal, rename });
    },
  };
}

const bytesOf = (text: string): string => Buffer.from(text).toString('latin1');

async function statOf(archive: AsyncIterable<Uint8Array>): Promise<PathStat | undefined> {
  try {
    const entry = await firstMember(archive);
    if (entry === undefined) return { type: 'other', target: '' };
    const type = entry.type === 'directory' || entry.type === 'symlink' ? entry.type : 'other';
    return { type, target: Buffer.from(entry.linkName, 'latin1').toString() };
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

/** Members below `from` go below `to`; '' is the top itself. Others stay where they are. */
export function renaming(from: string, to: string): (name: string) => string {
  if (from === to) return (name) => name;
  if (from === '') return (name) => `${to}/${name}`;
  const top = to === '' ? '.' : to;
  return (name) => (name === from || name.startsWith(`${from}/`) ? top + name.slice(from.length) : name);
}
