import { join } from 'node:path';
import { SnapshotDirectories } from '../snapshot-directories.ts';

/**
 * Where everything of a snapshot is on disk. Its `fs` is the upperdir while it is active, a lowerdir once it is committed.
 */
export class SnapshotPaths extends SnapshotDirectories {
  /** Overlayfs' workdir. */
  work(id: number): string {
    return join(this.directory(id), 'work');
  }

  /** Files as one EROFS image, beneath those of {@link fs} where it has both. */
  layer(id: number): string {
    return join(this.directory(id), 'layer.erofs');
  }

  /** A layer file that is being written. */
  partialLayer(id: number): string {
    return join(this.directory(id), 'layer.partial');
  }

  /** Says that {@link fs} is not all: there must be a layer file beneath. */
  layered(id: number): string {
    return join(this.directory(id), 'layered');
  }

  /** Whose {@link fs} this is. */
  idOfFs(path: string): number | undefined {
    const id = Number(/\/([1-9][0-9]{0,14})\/fs$/.exec(path)?.[1]);
    return path === this.fs(id) ? id : undefined;
  }
}
