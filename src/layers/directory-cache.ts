import { readlinkSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { openInRoot } from '../sys/beneath.ts';
import { O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { mkdirAt, readlinkAt } from '../sys/files.ts';
import { joinPath, linkPlace, splitPath, toPath } from './member-path.ts';
import type { ByteString } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/** Directories kept open; the rest are opened again when needed. */
const maxOpen = 128;
const maxLinks = 40;

/**
 * Handles of the directories of a layer by path. A path is resolved once, by the kernel and inside the root
 * (openat2, RESOLVE_IN_ROOT), and from then on named by its descriptor, so that a link swapped in changes nothing
 * (CVE-2021-32760, CVE-2025-47290). Symlinks in a path are followed as a process rooted there would.
 */
export class DirectoryCache implements Disposable {
  readonly #root: Fd;
  readonly #open = new Map<ByteString, Fd>();
  readonly #realPaths = new Map<ByteString, ByteString>();
  readonly #onMake: (path: ByteString) => void;

  /** @param onMake is called with the real path of each directory that had to be made (0755) as a member needed it */
  constructor(root: Fd, onMake: (path: ByteString) => void) {
    this.#root = root;
    this.#onMake = onMake;
  }

  /** The directory at `path`, made with its parents where missing. Valid until the next call. @throws invalid_argument */
  ensure(path: ByteString): Fd {
    return this.#get(path, 0);
  }

  /** The directory at `path`; undefined where there is none. */
  find(path: ByteString): Fd | undefined {
    try {
      return this.#cached(path) ?? this.#store(path, this.#resolve(path));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(codeOf(error) ?? '')) return undefined;
      throw error;
    }
  }

  /** Where the directory at `path` really is, without links on the way; '' for the root. Made where missing. */
  realPath(path: ByteString): ByteString {
    const known = path === '' ? '' : this.#realPaths.get(path);
    if (known !== undefined) return known;
    const root = readlinkSync(this.#root.procPath, 'latin1');
    const real = readlinkSync(this.ensure(path).procPath, 'latin1').slice(root.length).replace(/^\//, '');
    if (this.#realPaths.size >= maxOpen) this.#realPaths.clear();
    this.#realPaths.set(path, real);
    return real;
  }

  /** Must be called when a directory or symlink was removed: paths may mean something else now. */
  forget(): void {
    for (const fd of this.#open.values()) fd.close();
    this.#open.clear();
    this.#realPaths.clear();
  }

  [Symbol.dispose](): void {
    this.forget();
  }

  #get(path: ByteString, links: number): Fd {
    const cached = this.#cached(path);
    if (cached !== undefined) return cached;
    try {
      return this.#store(path, this.#resolve(path));
    } catch (error) {
      if (codeOf(error) === 'ENOTDIR') throw badTar(`a parent of ${JSON.stringify(path)} is not a directory`);
      if (codeOf(error) === 'ELOOP') throw badTar(`too many links on the way to ${JSON.stringify(path)}`);
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    this.#make(path, links);
    return this.#get(path, links + 1);
  }

  #make(path: ByteString, links: number): void {
    if (links > maxLinks) throw badTar(`cannot make directory ${JSON.stringify(path)}`);
    const { directory, base } = splitPath(path);
    const parent = this.#get(directory, links);
    try {
      mkdirAt(parent, toPath(base), 0o755);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      this.#followDangling(parent, directory, base, links);
      return;
    }
    this.#onMake(joinPath(this.realPath(directory), base));
  }

  /** A symlink to nowhere is on the way: the place it points to (inside the root) becomes a directory. */
  #followDangling(parent: Fd, directory: ByteString, base: ByteString, links: number): void {
    const target = readlinkAt(parent, toPath(base)).toString('latin1');
    this.#get(linkPlace(directory, target), links + 1);
  }

  #resolve(path: ByteString): Fd {
    return openInRoot(this.#root, toPath(path), O_PATH | O_DIRECTORY);
  }

  #cached(path: ByteString): Fd | undefined {
    if (path === '') return this.#root;
    const fd = this.#open.get(path);
    if (fd === undefined) return undefined;
    this.#open.delete(path);
    this.#open.set(path, fd);
    return fd;
  }

  #store(path: ByteString, fd: Fd): Fd {
    if (this.#open.size >= maxOpen) this.#evict();
    this.#open.set(path, fd);
    return fd;
  }

  #evict(): void {
    for (const [path, fd] of this.#open) {
      this.#open.delete(path);
      fd.close();
      return;
    }
  }
}
