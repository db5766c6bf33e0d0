import { codeOf } from '../errors/error.ts';
import { S_IFCHR, S_IFDIR } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { mknodAt } from '../sys/files.ts';
import { statAt, typeOf } from '../sys/stat.ts';
import { pathIn, setXattr } from '../sys/xattr.ts';
import type { DirectoryCache } from './directory-cache.ts';
import { joinPath, toPath } from './member-path.ts';
import type { ByteString } from './tar-entry.ts';
import type { Whiteouts } from './whiteout-contract.ts';

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
      const path = joinPath(directory, base);
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
