import type { DriverSnapshot } from '../driver.ts';
import type { Mount } from '../snapshotter.ts';

/** Directories of a snapshot on disk. */
export interface SnapshotPaths {
  /** Its own files: the upperdir while it is active, a lowerdir once it is committed. */
  fs(id: number): string;
  work(id: number): string;
}

/**
 * The mounts of a snapshot: a bind where one directory is all there is, else an overlay. Only options that BuildKit
 * understands when it reads them (lowerdir, upperdir, workdir, index=off, userxattr).
 */
export function overlayMounts(snapshot: DriverSnapshot, paths: SnapshotPaths, userXattr: boolean): Mount[] {
  const { id, kind, parents } = snapshot;
  const [nearest] = parents;
  if (nearest === undefined) return [bind(paths.fs(id), kind === 'view' ? 'ro' : 'rw')];
  if (kind === 'view' && parents.length === 1) return [bind(paths.fs(nearest), 'ro')];
  const own = kind === 'active' ? [`workdir=${paths.work(id)}`, `upperdir=${paths.fs(id)}`] : [];
  const lower = parents.map((parent) => paths.fs(parent)).join(':');
  const options = ['index=off', ...(userXattr ? ['userxattr'] : []), ...own, `lowerdir=${lower}`];
  return [{ type: 'overlay', source: 'overlay', options }];
}

const bind = (source: string, access: 'ro' | 'rw'): Mount => ({
  type: 'bind',
  source,
  options: [access, 'rbind'],
});
