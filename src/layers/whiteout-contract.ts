import type { Fd } from '../sys/fd.ts';
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
