import type { DirectoryCache } from './directory-cache.ts';
import { OverlayWhiteouts } from './overlay-whiteouts.ts';
import { PlainWhiteouts } from './plain-whiteouts.ts';
import type { ByteString } from './tar-entry.ts';
import type { Whiteouts } from './whiteout-contract.ts';

export type WhiteoutStyle = 'overlay' | 'overlay-userxattr' | 'plain';

/** The way to delete in a target. `empty`: nothing is there from before. */
export function whiteoutsFor(style: WhiteoutStyle, empty: boolean, cache: DirectoryCache): Whiteouts {
  if (style !== 'plain') return new OverlayWhiteouts(cache, style === 'overlay-userxattr');
  return empty ? new NoWhiteouts(cache) : new PlainWhiteouts(cache);
}

/** Into an empty directory there is nothing to hide. */
class NoWhiteouts implements Whiteouts {
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
