import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, invalidArgument } from '../../errors/error.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../../sys/constants.ts';
import { openAt, syncFileSystem } from '../../sys/files.ts';
import { removeTree } from '../../sys/remove-tree.ts';
import { diskUsage } from '../disk-usage.ts';
import type { DriverSnapshot, SnapshotDriver } from '../driver.ts';
import type { Mount, SnapshotUsage } from '../snapshotter.ts';
import { overlayMounts } from './overlay-mounts.ts';

export interface OverlayDriverOptions {
  /** Directory for everything of this driver; made when missing, mode 0700. */
  readonly root: string;
  /** Mount with `userxattr`, as a user namespace needs. Default false. */
  readonly userXattr?: boolean;
}

/**
 * Snapshots as directories under overlayfs: `snapshots/<id>/fs` and, while active, `snapshots/<id>/work`. What is
 * being removed lies in `trash/` under a name nobody asks for.
 * @throws invalid_argument when the root holds a character that overlay options give a meaning (comma, colon, backslash)
 */
export async function openOverlayDriver(options: OverlayDriverOptions): Promise<SnapshotDriver> {
  if (/[,:\\]/.test(options.root)) throw invalidArgument(`snapshot root ${options.root} holds one of , : \\`);
  const driver = new OverlayDriver(options);
  await driver.prepareRoot();
  return driver;
}

class OverlayDriver implements SnapshotDriver {
  readonly name = 'overlayfs';
  readonly capabilities = ['rebase'];
  readonly root: string;
  readonly #userXattr: boolean;

  constructor({ root, userXattr = false }: OverlayDriverOptions) {
    this.root = root;
    this.#userXattr = userXattr;
  }

  async prepareRoot(): Promise<void> {
    for (const path of [this.root, this.#snapshots, this.#trash]) {
      await mkdir(path, { recursive: true, mode: 0o700 });
      await chmod(path, 0o700);
    }
  }

  async create({ id, kind, parents }: DriverSnapshot): Promise<void> {
    await ensureDirectory(this.#directory(id), 0o700);
    const [nearest] = parents;
    await this.#createFs(this.fs(id), nearest);
    if (kind === 'active') await ensureDirectory(this.work(id), 0o711);
  }

  mounts(snapshot: DriverSnapshot): Mount[] {
    return overlayMounts(snapshot, this, this.#userXattr);
  }

  async commit({ id }: DriverSnapshot): Promise<SnapshotUsage> {
    using dir = openAt(AT_FDCWD, this.fs(id), O_RDONLY | O_DIRECTORY);
    const [usage] = await Promise.all([diskUsage(this.fs(id)), syncFileSystem(dir)]);
    return usage;
  }

  /** Of what the snapshot itself holds: a view holds nothing. */
  async usage({ id, kind }: DriverSnapshot): Promise<SnapshotUsage> {
    return kind === 'view' ? { sizeBytes: 0, inodes: 0 } : diskUsage(this.fs(id));
  }

  async remove(id: number): Promise<void> {
    const trash = join(this.#trash, `${id}-${randomBytes(4).toString('hex')}`);
    try {
      await rename(this.#directory(id), trash);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    await removeTree(trash);
  }

  async cleanup(known: ReadonlySet<number>): Promise<number[]> {
    const removed: number[] = [];
    for (const id of await this.#ids()) {
      if (known.has(id)) continue;
      await this.remove(id);
      removed.push(id);
    }
    for (const name of await readdir(this.#trash)) await removeTree(join(this.#trash, name));
    return removed;
  }

  fs(id: number): string {
    return join(this.#directory(id), 'fs');
  }

  work(id: number): string {
    return join(this.#directory(id), 'work');
  }

  get #snapshots(): string {
    return join(this.root, 'snapshots');
  }

  get #trash(): string {
    return join(this.root, 'trash');
  }

  #directory(id: number): string {
    return join(this.#snapshots, String(id));
  }

  /** The root directory of a mounted snapshot is its own `fs`, so that takes owner and mode from the parent's. */
  async #createFs(path: string, parent: number | undefined): Promise<void> {
    const from = parent === undefined ? undefined : await stat(this.fs(parent));
    const made = await ensureDirectory(path, from === undefined ? 0o755 : from.mode & 0o7777);
    if (!made || from === undefined || (from.uid === 0 && from.gid === 0)) return;
    await chown(path, from.uid, from.gid);
    await chmod(path, from.mode & 0o7777);
  }

  async #ids(): Promise<number[]> {
    const names = await readdir(this.#snapshots);
    return names.filter((name) => /^[1-9][0-9]{0,14}$/.test(name)).map(Number);
  }
}

/** Makes a directory with exactly this mode, whatever the umask. Returns false when it was there. */
async function ensureDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  await chmod(path, mode);
  return true;
}
