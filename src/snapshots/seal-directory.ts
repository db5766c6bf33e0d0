import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../sys/constants.ts';
import { openAt, syncFileSystem } from '../sys/files.ts';
import { diskUsage } from './disk-usage.ts';
import type { SnapshotUsage } from './snapshotter.ts';

/** Writes a tree to disk, as a snapshot that is being committed must be, and says what it takes there. @throws SysError */
export async function sealDirectory(path: string): Promise<SnapshotUsage> {
  using dir = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  const [usage] = await Promise.all([diskUsage(path), syncFileSystem(dir)]);
  return usage;
}
