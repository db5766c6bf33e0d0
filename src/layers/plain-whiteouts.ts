import { readdirSync } from 'node:fs';
import { S_IFDIR } from '../sys/constants.ts';
import { statAt, typeOf } from '../sys/stat.ts';
import type { DirectoryCache } from './directory-cache.ts';
import { joinPath, splitPath, toPath } from './member-path.ts';
import { removeSync } from './remove-sync.ts';
import type { ByteString } from './tar-entry.ts';
import type { Whiteouts } from './whiteout-contract.ts';

/** By deleting what was there before the layer. */
export class PlainWhiteouts implements Whiteouts {
  readonly #cache: DirectoryCache;
  readonly #own = new Set<ByteString>();
  readonly #cleared = new Set<ByteString>();

  constructor(cache: DirectoryCache) {
    this.#cache = cache;
  }

  hide(directory: ByteString, base: ByteString): void {
    const path = joinPath(directory, base);
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
    const path = joinPath(directory, base);
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
