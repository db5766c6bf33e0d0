import type { Mount } from '../snapshotter.ts';

/** What the mounts of a snapshot are made of. */
export interface OverlayParts {
  readonly kind: 'view' | 'active';
  /** Its own directory: the upperdir, or all there is. */
  readonly fs: string;
  readonly work: string;
  /** Directories beneath, nearest first. */
  readonly lower: readonly string[];
  readonly userXattr: boolean;
  /** More options of an overlay. */
  readonly options: readonly string[];
}

/**
 * The mounts of a snapshot: a bind where one directory is all there is, else an overlay. Unless more are asked for, only
 * options that BuildKit understands when it reads them (lowerdir, upperdir, workdir, index=off, userxattr).
 */
export function overlayMounts({ kind, fs, work, lower, ...parts }: OverlayParts): Mount[] {
  const [nearest] = lower;
  if (nearest === undefined) return [bind(fs, kind === 'view' ? 'ro' : 'rw')];
  if (kind === 'view' && lower.length === 1) return [bind(nearest, 'ro')];
  const own = kind === 'active' ? [`workdir=${work}`, `upperdir=${fs}`] : [];
  const options = [...usual(parts), ...own, `lowerdir=${lower.join(':')}`];
  return [{ type: 'overlay', source: 'overlay', options }];
}

function usual({ userXattr, options }: Pick<OverlayParts, 'userXattr' | 'options'>): string[] {
  const index = options.some((option) => option.startsWith('index=')) ? [] : ['index=off'];
  return [...index, ...(userXattr && !options.includes('userxattr') ? ['userxattr'] : []), ...options];
}

const bind = (source: string, access: 'ro' | 'rw'): Mount => ({
  type: 'bind',
  source,
  options: [access, 'rbind'],
});
