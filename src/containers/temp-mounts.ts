import { randomBytes } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mount } from '../snapshots/snapshotter.ts';
import { unmountTree } from '../sys/mount.ts';
import { namesIn } from '../sys/names-in.ts';
import { mountTemporarily } from '../sys/temp-mount.ts';

/**
 * Snapshots mounted for a moment, each daemon in a directory of its own beneath `root`, so that the next one finds what
 * a killed one left mounted.
 */
export class TempMounts {
  readonly #root: string;
  readonly #own = `containers-${process.pid}-${randomBytes(4).toString('hex')}`;

  constructor(root: string) {
    this.#root = root;
  }

  /** Runs `use` with the list mounted on a directory; unmounts whatever happens. */
  async with<T>(mounts: readonly Mount[], use: (path: string) => Promise<T>): Promise<T> {
    const parent = join(this.#root, this.#own);
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await using mounted = await mountTemporarily(mounts, parent);
    return await use(mounted.path);
  }

  /** Unmounts and removes what earlier daemons left. Never recursive: what is not empty is not ours to remove. Idempotent. */
  async sweep(): Promise<void> {
    for (const name of await namesIn(this.#root)) {
      if (!name.startsWith('containers-') || name === this.#own) continue;
      const directory = join(this.#root, name);
      await unmountTree(directory, { detach: true });
      for (const child of await namesIn(directory)) await rmdir(join(directory, child));
      await rmdir(directory);
    }
  }
}
