import { S_IFDIR, S_IFLNK } from '../../sys/constants.ts';
import { linkPlace, splitPath } from '../member-path.ts';
import type { ByteString } from '../tar-entry.ts';
import { badTar } from '../tar-numbers.ts';
import { maxNameBytes } from './format.ts';
import { InodeTable } from './inode-table.ts';

/** A directory of the tree. */
export interface Directory {
  readonly inode: number;
  /** Undefined for the root. */
  readonly parent: Directory | undefined;
  readonly name: ByteString;
  /** Names to inodes. */
  readonly children: Map<ByteString, number>;
  /** Hides what lower layers have in it. */
  opaque: boolean;
  /** No member of the layer describes it. */
  implicit: boolean;
}

/** Why there is no directory at a path, in the kernel's words. */
type Fault = 'ENOENT' | 'ENOTDIR' | 'ELOOP' | 'ENAMETOOLONG';

/** Longest path the kernel takes in one piece, without the NUL. */
const maxPathBytes = 4095;
const maxLinks = 40;
/** Paths remembered; forgotten all at once, they come back one by one. */
const maxCached = 1024;
const epoch = { seconds: 0, nanoseconds: 0 };

/**
 * The files of a layer, in memory and without their contents. Paths mean here what they mean to a process whose root
 * is the layer: symlinks on the way are followed and never lead out. `directory-cache.ts` does the same on disk.
 */
export class LayerTree {
  readonly inodes = new InodeTable();
  readonly root: Directory;
  /** Targets of symlinks by inode. */
  readonly links = new Map<number, ByteString>();
  readonly #directories = new Map<number, Directory>();
  readonly #cache = new Map<ByteString, Directory>();
  readonly #onImplicit: () => void;

  constructor(onImplicit: () => void = () => {}) {
    this.#onImplicit = onImplicit;
    this.root = this.#newDirectory(undefined, '');
    this.root.implicit = false;
  }

  /** The directory an inode is; undefined when it is something else. */
  directoryOf(inode: number | undefined): Directory | undefined {
    return inode === undefined ? undefined : this.#directories.get(inode);
  }

  /** All directories, in the order in which they came. */
  directories(): Iterable<Directory> {
    return this.#directories.values();
  }

  /** The directory at `path`, made with its parents (0755) where missing. @throws invalid_argument */
  ensure(path: ByteString): Directory {
    return this.#get(path, 0);
  }

  /** The directory at `path`; undefined where there is none. */
  find(path: ByteString): Directory | undefined {
    const found = this.#resolve(path);
    return typeof found === 'string' ? undefined : found;
  }

  addDirectory(parent: Directory, name: ByteString): Directory {
    const directory = this.#newDirectory(parent, name);
    this.inodes.link(directory.inode);
    this.inodes.link(parent.inode);
    this.#name(parent, name, directory.inode);
    return directory;
  }

  /** Gives an inode a name that is free. */
  add(parent: Directory, name: ByteString, inode: number): void {
    this.inodes.link(inode);
    this.#name(parent, name, inode);
  }

  /** Takes a name away, and with a directory everything in it. */
  remove(parent: Directory, name: ByteString): void {
    const inode = parent.children.get(name);
    if (inode === undefined) return;
    parent.children.delete(name);
    this.inodes.link(inode, -1);
    const type = this.inodes.type(inode);
    if (type === S_IFDIR || type === S_IFLNK) this.#cache.clear();
    const directory = this.#directories.get(inode);
    if (directory === undefined) return;
    this.inodes.link(parent.inode, -1);
    this.#empty(directory);
  }

  /** Not by recursion: a hostile tree may be deeper than the stack. */
  #empty(top: Directory): void {
    const pending = [top];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      this.#directories.delete(directory.inode);
      for (const inode of directory.children.values()) {
        this.inodes.link(inode, -1);
        const child = this.#directories.get(inode);
        if (child !== undefined) pending.push(child);
      }
    }
  }

  #name(parent: Directory, name: ByteString, inode: number): void {
    if (name.length > maxNameBytes) throw badTar(`a name of more than ${maxNameBytes} bytes`);
    parent.children.set(name, inode);
  }

  #newDirectory(parent: Directory | undefined, name: ByteString): Directory {
    const mode = S_IFDIR | 0o755;
    const inode = this.inodes.add({ mode, uid: 0, gid: 0, sizeBytes: 0, mtime: epoch, place: 0 });
    // "." counts as a name, and the root is its own parent.
    this.inodes.link(inode);
    if (parent === undefined) this.inodes.link(inode);
    const directory = { inode, parent, name, children: new Map(), opaque: false, implicit: true };
    this.#directories.set(inode, directory);
    return directory;
  }

  #get(path: ByteString, links: number): Directory {
    const found = this.#resolve(path);
    if (typeof found !== 'string') return found;
    if (found === 'ENOTDIR') throw badTar(`a parent of ${JSON.stringify(path)} is not a directory`);
    if (found === 'ELOOP') throw badTar(`too many links on the way to ${JSON.stringify(path)}`);
    if (found === 'ENAMETOOLONG') throw badTar(`a path or name that is too long`);
    this.#make(path, links);
    return this.#get(path, links + 1);
  }

  #make(path: ByteString, links: number): void {
    if (links > maxLinks) throw badTar(`cannot make directory ${JSON.stringify(path)}`);
    const { directory, base } = splitPath(path);
    const parent = this.#get(directory, links);
    const there = parent.children.get(base);
    if (there !== undefined) this.#followDangling(there, directory, links);
    else {
      this.addDirectory(parent, base);
      this.#onImplicit();
    }
  }

  /** A symlink to nowhere is on the way: the place it points to (inside the root) becomes a directory. */
  #followDangling(link: number, directory: ByteString, links: number): void {
    const target = this.links.get(link) ?? '';
    this.#get(linkPlace(directory, target), links + 1);
  }

  #resolve(path: ByteString): Directory | Fault {
    if (path === '') return this.root;
    const cached = this.#cache.get(path);
    if (cached !== undefined) return cached;
    if (path.length > maxPathBytes) return 'ENAMETOOLONG';
    const found = this.#walk(path);
    if (typeof found === 'string') return found;
    if (this.#cache.size >= maxCached) this.#cache.clear();
    this.#cache.set(path, found);
    return found;
  }

  #walk(path: ByteString): Directory | Fault {
    let directory = this.root;
    let links = 0;
    const rest = path.split('/').reverse();
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        directory = directory.parent ?? directory;
        continue;
      }
      if (name.length > maxNameBytes) return 'ENAMETOOLONG';
      const inode = directory.children.get(name);
      if (inode === undefined) return 'ENOENT';
      const next = this.#directories.get(inode);
      if (next !== undefined) directory = next;
      else {
        const target = this.links.get(inode);
        if (target === undefined) return 'ENOTDIR';
        if (++links > maxLinks) return 'ELOOP';
        if (target.startsWith('/')) directory = this.root;
        rest.push(...target.split('/').reverse());
      }
    }
    return directory;
  }
}

/** Where a directory is, from the root. */
export function pathOf(directory: Directory): ByteString {
  const names: ByteString[] = [];
  for (let at = directory; at.parent !== undefined; at = at.parent) names.push(at.name);
  return names.reverse().join('/');
}
