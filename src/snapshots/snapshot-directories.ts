import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../errors/error.ts';
import { removeAside } from './remove-aside.ts';

/**
 * A directory for each snapshot, by number: `snapshots/<id>/fs` holds its files. What is being removed lies in `trash/`
 * under a name nobody asks for.
 */
export class SnapshotDirectories {
  readonly root: string;
  readonly snapshots: string;
  readonly trash: string;

  constructor(root: string) {
    this.root = root;
    this.snapshots = join(root, 'snapshots');
    this.trash = join(root, 'trash');
  }

  /** Makes what all snapshots are in, 0700 (CVE-2021-41103). */
  async open(): Promise<void> {
    for (const path of [this.root, this.snapshots, this.trash]) {
      await mkdir(path, { recursive: true, mode: 0o700 });
      await chmod(path, 0o700);
    }
  }

  directory(id: number): string {
    return join(this.snapshots, String(id));
  }

  /** Its files as a directory. */
  fs(id: number): string {
    return join(this.directory(id), 'fs');
  }

  async ids(): Promise<number[]> {
    const names = await readdir(this.snapshots);
    return names.filter((name) => /^[1-9][0-9]{0,14}$/.test(name)).map(Number);
  }

  /** Idempotent. Never follows links, never crosses a mount. */
  async remove(id: number): Promise<void> {
    const trash = join(this.trash, `${id}-${randomBytes(4).toString('hex')}`);
    try {
      await rename(this.directory(id), trash);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    await removeAside(trash);
  }

  /** Removes what a removal that was cut short has left. */
  async emptyTrash(): Promise<void> {
    for (const name of await readdir(this.trash)) await removeAside(join(this.trash, name));
  }
}
