import { S_IFDIR } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { typeOf } from '../../sys/stat.ts';
import { getXattr, pathIn } from '../../sys/xattr.ts';
import type { ByteString } from '../tar-entry.ts';
import { isSameEntry } from './same-entry.ts';
import { isWhiteout, type OpenDirectory, openDirectory, readEntries, type TreeEntry } from './tree-entry.ts';

/** What the right tree has that differs from the left one, or no longer has. `same` only of files with several names. */
export type Change =
  | { readonly kind: 'changed' | 'same'; readonly entry: TreeEntry }
  | { readonly kind: 'deleted'; readonly path: ByteString };

/** The trees that are compared; no `left` means that everything is new. */
export interface Trees {
  readonly left: Fd | undefined;
  readonly right: Fd;
  /** `right` is an overlay's upperdir over `left`: what it does not name is unchanged. The attribute that says otherwise. */
  readonly opaqueXattr: string | undefined;
}

/**
 * Changes in the order of names (bytes), directories before what is in them. Entries may be read until the next one is
 * asked for. Files of a running container may change meanwhile: what is gone when its turn comes is left out.
 */
export function* walkChanges(trees: Trees): Generator<Change> {
  const walk: Walk = { ...trees, leftOf: new Map(), rightOf: new Map() };
  yield* walkDirectory(walk, '', trees.left !== undefined);
}

interface Walk extends Trees {
  /** Inodes of unchanged files with several names, in one tree and the other. */
  readonly leftOf: Map<bigint, bigint>;
  readonly rightOf: Map<bigint, bigint>;
}

function* walkDirectory(walk: Walk, path: ByteString, hasLeft: boolean): Generator<Change> {
  using right = openDirectory(walk.right, path);
  if (right === undefined) return;
  using left = hasLeft && walk.left ? openDirectory(walk.left, path) : undefined;
  const now = readEntries(right);
  const before = left ? readEntries(left) : new Map<ByteString, TreeEntry>();
  const whole = walk.opaqueXattr === undefined || isOpaque(right, walk.opaqueXattr);
  const names = new Set(whole ? [...now.keys(), ...before.keys()] : now.keys());
  for (const name of [...names].sort()) yield* compareEntry(walk, before.get(name), now.get(name));
}

function* compareEntry(
  walk: Walk,
  left: TreeEntry | undefined,
  right: TreeEntry | undefined,
): Generator<Change> {
  const before = left && !isWhiteout(left) ? left : undefined;
  if (right === undefined || isWhiteout(right)) {
    if (before) yield { kind: 'deleted', path: before.path };
    return;
  }
  const isSame = before !== undefined && isSameEntry(before, right) && hasSameLinks(walk, before, right);
  if (!isSame) yield { kind: 'changed', entry: right };
  else if (right.stat.nlink > 1 && typeOf(right.stat) !== S_IFDIR) yield { kind: 'same', entry: right };
  if (typeOf(right.stat) === S_IFDIR)
    yield* walkDirectory(walk, right.path, before !== undefined && typeOf(before.stat) === S_IFDIR);
}

/** Whether unchanged names are one file in both trees or in none. A file that was copied up is one of its own. */
function hasSameLinks(walk: Walk, { stat: left }: TreeEntry, { stat: right }: TreeEntry): boolean {
  if (typeOf(right) === S_IFDIR || (left.nlink < 2 && right.nlink < 2)) return true;
  if (walk.opaqueXattr !== undefined) return left.nlink < 2;
  const partnerOfRight = walk.leftOf.get(right.ino) ?? left.ino;
  const partnerOfLeft = walk.rightOf.get(left.ino) ?? right.ino;
  if (partnerOfRight !== left.ino || partnerOfLeft !== right.ino) return false;
  walk.leftOf.set(right.ino, left.ino);
  walk.rightOf.set(left.ino, right.ino);
  return true;
}

function isOpaque({ fd }: OpenDirectory, xattr: string): boolean {
  return getXattr(pathIn(fd, '.'), xattr)?.toString('latin1') === 'y';
}
