import { diskUsage } from '../disk-usage.ts';
import type { DriverSnapshot, SnapshotDriver } from '../driver.ts';
import { ensureDirectory } from '../ensure-directory.ts';
import { sealDirectory } from '../seal-directory.ts';
import { SnapshotDirectories } from '../snapshot-directories.ts';
import type { Mount, SnapshotUsage } from '../snapshotter.ts';
import { copyTree } from './copy-tree.ts';

/**
 * Snapshots as whole copies, for where overlayfs does not work: each active one starts as a copy of its parent, which
 * shares blocks where the file system can (xfs, btrfs). Layers must be applied one after the other: a copy cannot be put
 * on another parent later.
 */
export async function openNativeDriver(root: string): Promise<SnapshotDriver> {
  const directories = new SnapshotDirectories(root);
  await directories.open();
  return new NativeDriver(directories);
}

class NativeDriver implements SnapshotDriver {
  readonly name = 'native';
  readonly capabilities = [];
  readonly #directories: SnapshotDirectories;

  constructor(directories: SnapshotDirectories) {
    this.#directories = directories;
  }

  get root(): string {
    return this.#directories.root;
  }

  async create({ id, kind, parents: [parent] }: DriverSnapshot): Promise<undefined> {
    await ensureDirectory(this.#directories.directory(id), 0o700);
    if (kind === 'view' && parent !== undefined) return;
    await ensureDirectory(this.#directories.fs(id), 0o755);
    if (parent !== undefined) await copyTree(this.#directories.fs(parent), this.#directories.fs(id));
  }

  async mounts({ id, kind, parents: [parent] }: DriverSnapshot): Promise<Mount[]> {
    const view = kind === 'view';
    const source = this.#directories.fs(view ? (parent ?? id) : id);
    return [{ type: 'bind', source, options: [view ? 'ro' : 'rw', 'rbind'] }];
  }

  async commit({ id }: DriverSnapshot): Promise<SnapshotUsage> {
    return sealDirectory(this.#directories.fs(id));
  }

  /** Of the whole copy; blocks shared with the parent's are counted again. A view holds nothing. */
  async usage({ id, kind }: DriverSnapshot): Promise<SnapshotUsage> {
    return kind === 'view' ? { sizeBytes: 0, inodes: 0 } : diskUsage(this.#directories.fs(id));
  }

  remove(id: number): Promise<void> {
    return this.#directories.remove(id);
  }

  list(): Promise<number[]> {
    return this.#directories.ids();
  }

  async cleanup(known: ReadonlySet<number>): Promise<number[]> {
    const unknown = (await this.#directories.ids()).filter((id) => !known.has(id));
    for (const id of unknown) await this.remove(id);
    await this.#directories.emptyTrash();
    return unknown;
  }
}
