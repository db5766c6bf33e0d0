import { readdirSync } from 'node:fs';
import { codeOf } from '../errors/error.ts';
import { S_IFCHR, S_IFDIR } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { mknodAt } from '../sys/files.ts';
import { statAt, typeOf } from '../sys/stat.ts';
import { pathIn, setXattr } from '../sys/xattr.ts';
import type { DirectoryCache } from './directory-cache.ts';
import { splitPath, toPath } from './member-path.ts';
import { removeSync } from './remove-sync.ts';
import type { ByteString } from './tar-entry.ts';

/**
 * How deletions of a layer are carried out. A whiteout concerns lower layers only: what the same layer brings, before
 * or after it, stays (image-spec layer.md).
 */
export interface Whiteouts {
  /** Hides `base` of the lower layers. */
  hide(directory: ByteString, base: ByteString): void;
  /** Hides everything of the lower layers in `directory`. */
  hideAll(directory: ByteString): void;
  /** Told of each member that was written. */
  written(path: ByteString): void;
  /** A directory is about to replace `base`, which is not one. Returns whether it must become opaque. */
  isHidden(parent: Fd, base: ByteString): boolean;
}

/** In the words of overlayfs: 0:0 character devices and the opaque attribute. Each is one call, however often it comes. */
export class OverlayWhiteouts implements Whiteouts {
  readonly #cache: DirectoryCache;
  readonly #xattr: string;
  readonly #opaque = new Set<ByteString>();

  constructor(cache: DirectoryCache, userXattr: boolean) {
    this.#cache = cache;
    this.#xattr = userXattr ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
  }

  hide(directory: ByteString, base: ByteString): void {
    const parent = this.#cache.ensure(directory);
    try {
      mknodAt(parent, toPath(base), S_IFCHR, 0, 0);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      const path = directory === '' ? base : `${directory}/${base}`;
      if (typeOf(statAt(parent, toPath(base))) === S_IFDIR) this.hideAll(path);
    }
  }

  hideAll(directory: ByteString): void {
    if (this.#opaque.has(directory)) return;
    setXattr(pathIn(this.#cache.ensure(directory), '.'), this.#xattr, Buffer.from('y'));
    this.#opaque.add(directory);
  }

  written(path: ByteString): void {
    this.#opaque.delete(path);
  }

  isHidden(parent: Fd, base: ByteString): boolean {
    const stat = statAt(parent, toPath(base));
    return typeOf(stat) === S_IFCHR && stat.rdev.major === 0 && stat.rdev.minor === 0;
  }
}

/** By deleting what was there before the layer. */
export class PlainWhiteouts implements Whiteouts {
  readonly #cache: DirectoryCache;
  readonly #own = new Set<ByteString>();
  readonly #cleared = new Set<ByteString>();

  constructor(cache: DirectoryCache) {
    this.#cache = cache;
  }

  hide(directory: ByteString, base: ByteString): void {
    const path = directory === '' ? base : `${directory}/${base}`;
    if (this.#own.has(path)) {
      this.#clear(path);
      return;
    }
    const parent = this.#cache.find(directory);
    if (parent === undefined) return;
    removeSync(parent, toPath(base));
    this.#cache.forget();
  }

  hideAll(directory: ByteString): void {
    this.#cache.ensure(directory);
    this.#clear(directory);
  }

  written(path: ByteString): void {
    for (let at = path; at !== '' && !this.#own.has(at); at = splitPath(at).directory) this.#own.add(at);
  }

  isHidden(): boolean {
    return false;
  }

  /** Removes what is not of this layer. Once done, all that comes is: again is free (CVE-2026-95838). */
  #clear(directory: ByteString): void {
    if (this.#isCleared(directory)) return;
    this.#cleared.add(directory);
    const dir = this.#cache.find(directory);
    if (dir === undefined) return;
    const names = readdirSync(`${dir.procPath}/.`, { encoding: 'buffer' });
    for (const name of names) this.#clearEntry(directory, name);
    this.#cache.forget();
  }

  #clearEntry(directory: ByteString, name: Buffer): void {
    const base = name.toString('latin1');
    const path = directory === '' ? base : `${directory}/${base}`;
    const dir = this.#cache.find(directory);
    if (dir === undefined) return;
    if (!this.#own.has(path)) removeSync(dir, toPath(base));
    else if (typeOf(statAt(dir, toPath(base))) === S_IFDIR) this.#clear(path);
  }

  #isCleared(directory: ByteString): boolean {
    for (let at = directory; ; at = splitPath(at).directory) {
      if (this.#cleared.has(at)) return true;
      if (at === '') return false;
    }
  }
}

/** Into an empty directory there is nothing to hide. */
export class NoWhiteouts implements Whiteouts {
  readonly #cache: DirectoryCache;

  constructor(cache: DirectoryCache) {
    this.#cache = cache;
  }

  hide(): void {}

  hideAll(directory: ByteString): void {
    this.#cache.ensure(directory);
  }

  written(): void {}

  isHidden(): boolean {
    return false;
  }
}
