import { invalidArgument } from '../../errors/error.ts';
import { type LayerMount, optionOf, splitLower } from '../target.ts';

/** What two lists of mounts are, when they are compared. */
export interface DiffSides {
  readonly left: DiffSide;
  readonly right: DiffSide;
  /** Set when `right` is a directory over the layers of `left`: only what is in it can differ. */
  readonly upper: { readonly directory: string; readonly userXattr: boolean } | undefined;
}

/** A directory that can be read as it is, mounts that must be made first (read-only), or nothing at all. */
export type DiffSide =
  | { readonly directory: string }
  | { readonly mounts: readonly LayerMount[] }
  | undefined;

/**
 * How two lists of mounts (as a snapshotter hands them out) are read. Nothing is ever mounted writable: an upperdir that
 * a container may be using becomes the first lower one. @throws invalid_argument (no mounts on the right)
 */
export function sidesOf(left: readonly LayerMount[], right: readonly LayerMount[]): DiffSides {
  if (right.length === 0) throw invalidArgument('no mounts to make a layer of');
  return { left: sideOf(left), right: sideOf(right) as DiffSide, upper: upperOf(left, right) };
}

function sideOf(mounts: readonly LayerMount[]): DiffSide {
  const [mount, ...more] = mounts;
  if (mount === undefined) return undefined;
  const [directory, ...below] = more.length === 0 ? (stackOf(mount) ?? []) : [];
  if (directory !== undefined && below.length === 0) return { directory };
  return { mounts: mounts.map(readOnly) };
}

const isBind = ({ type, target = '' }: LayerMount): boolean =>
  (type === 'bind' || type === 'rbind') && target === '';

function readOnly(mount: LayerMount): LayerMount {
  if (mount.type !== 'overlay')
    return { ...mount, options: [...mount.options.filter((o) => o !== 'rw'), 'ro'] };
  const upper = optionOf(mount.options, 'upperdir');
  const kept = mount.options.filter(
    (option) => !/^(upperdir|workdir|lowerdir)=|^(rw|volatile)$/.test(option),
  );
  const lower = [upper, optionOf(mount.options, 'lowerdir')].filter((dir) => dir !== undefined);
  return { ...mount, options: [...kept, `lowerdir=${lower.join(':')}`] };
}

/** The directories of which a mount is made, nearest first; undefined when it is something else. */
function stackOf(mount: LayerMount): readonly string[] | undefined {
  if (isBind(mount)) return [mount.source];
  if (mount.type !== 'overlay') return undefined;
  const upper = optionOf(mount.options, 'upperdir');
  return [...(upper === undefined ? [] : [upper]), ...splitLower(optionOf(mount.options, 'lowerdir') ?? '')];
}

function upperOf(left: readonly LayerMount[], right: readonly LayerMount[]): DiffSides['upper'] {
  const [below, above] = [onlyOf(left), onlyOf(right)];
  if (below === undefined || above?.type !== 'overlay') return undefined;
  // What these leave in an upperdir is not the whole story of a file.
  if (above.options.some((option) => /^(redirect_dir|metacopy)=(on|follow)/.test(option))) return undefined;
  const [directory, ...rest] = stackOf(above) ?? [];
  const lower = stackOf(below) ?? [];
  const same = rest.length === lower.length && rest.every((dir, i) => dir === lower[i]);
  if (directory === undefined || rest.length === 0 || !same) return undefined;
  return { directory, userXattr: above.options.includes('userxattr') };
}

const onlyOf = (mounts: readonly LayerMount[]): LayerMount | undefined =>
  mounts.length === 1 ? mounts[0] : undefined;
