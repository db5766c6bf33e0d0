import { failedPrecondition, invalidArgument } from '../errors/error.ts';

/** A mount in containerd's words (structurally `snapshots/snapshotter.ts` Mount). */
export interface LayerMount {
  readonly type: string;
  readonly source: string;
  readonly target?: string;
  readonly options: readonly string[];
}

/** Where a layer is written, and how what it deletes is written down. */
export type LayerTarget =
  | {
      /** Into an overlay's upperdir: whiteouts become 0:0 devices, opaque directories an xattr. */
      readonly kind: 'overlay';
      readonly directory: string;
      /** Lower directories, nearest first; none when they are not known yet (`rebase`). */
      readonly lower: readonly string[];
      readonly workDirectory: string | undefined;
      /** Overlay was mounted with `userxattr`. */
      readonly userXattr: boolean;
    }
  /** Into a plain directory: whiteouts delete what is there from before. */
  | { readonly kind: 'plain'; readonly directory: string }
  /** As one file that can be mounted (EROFS). Nothing is at `path`, or an empty file. */
  | {
      readonly kind: 'layer-file';
      readonly path: string;
      /** Nothing will be beneath: what it deletes is left out. */
      readonly lowest: boolean;
    }
  /** Into something that must be mounted first, then as plain. */
  | { readonly kind: 'mount'; readonly mounts: readonly LayerMount[] };

/**
 * Where mounts may be written without mounting them: an overlay's upperdir, a bind's source.
 * @throws failed_precondition when they are read-only, invalid_argument when there are none
 */
export function targetOf(mounts: readonly LayerMount[]): LayerTarget {
  const [mount, ...more] = mounts;
  if (mount === undefined) throw invalidArgument('no mounts to apply a layer to');
  if (more.length > 0) return { kind: 'mount', mounts };
  if (mount.type === 'overlay') return overlayTarget(mount.options);
  if (mount.type !== 'bind' && mount.type !== 'rbind') return { kind: 'mount', mounts };
  if (mount.options.includes('ro')) throw readOnly();
  return { kind: 'plain', directory: mount.source };
}

function overlayTarget(options: readonly string[]): LayerTarget {
  const directory = optionOf(options, 'upperdir');
  if (directory === undefined || options.includes('ro')) throw readOnly();
  return {
    kind: 'overlay',
    directory,
    lower: splitLower(optionOf(options, 'lowerdir') ?? ''),
    workDirectory: optionOf(options, 'workdir'),
    userXattr: options.includes('userxattr'),
  };
}

const readOnly = () => failedPrecondition('cannot apply a layer to read-only mounts');

/** The value of `key=…` among mount options. */
export const optionOf = (options: readonly string[], key: string): string | undefined =>
  options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);

/** `lowerdir` is separated by colons; a backslash keeps one (kernel: overlayfs.rst). */
export const splitLower = (text: string): string[] =>
  (text.match(/(?:\\.|[^:\\])+/g) ?? []).map((dir) => dir.replace(/\\(.)/g, '$1'));

/**
 * The mounts of a snapshot prepared without its parent, so that whiteouts are kept and not carried out: a bind becomes
 * an overlay whose lower directories are to come. For `commit` with `parent` (the `rebase` capability); containerd's
 * unpacker sends Diff.Apply the same form.
 */
export function forRebase(mounts: readonly LayerMount[]): LayerMount[] {
  return mounts.map((mount) => {
    if (mount.type !== 'bind') return mount;
    const options = mount.options.filter((option) => option !== 'rbind' && option !== 'bind');
    return { type: 'overlay', source: 'overlay', options: [...options, `upperdir=${mount.source}`] };
  });
}
