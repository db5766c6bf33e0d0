import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../errors/error.ts';
import { type Mount, mountAll, unmountAll } from './mount.ts';

/** Mounts on a new directory. Disposal unmounts (detaching what is busy) and removes the directory. */
export interface TempMount extends AsyncDisposable {
  readonly path: string;
}

/**
 * Mounts a list on a new directory (0700) in `parent`: `await using mounted = await mountTemporarily(mounts)`.
 * @throws what mountAll throws; nothing is left behind
 */
export async function mountTemporarily(mounts: readonly Mount[], parent = tmpdir()): Promise<TempMount> {
  const path = await mkdtemp(join(parent, 'berth-mount-'));
  try {
    await mountAll(mounts, path);
  } catch (error) {
    await rmdir(path).catch(() => {});
    throw error;
  }
  return { path, [Symbol.asyncDispose]: () => dismantle(path) };
}

async function dismantle(path: string): Promise<void> {
  try {
    await unmountAll(path);
  } catch (error) {
    if (codeOf(error) !== 'EBUSY') throw error;
    await unmountAll(path, { detach: true });
  }
  // Never recursive: should something still be mounted, its files are not ours to remove.
  await rmdir(path);
}

/** Runs `use` with the list mounted on a temporary directory. */
export async function withTempMount<T>(
  mounts: readonly Mount[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  await using mounted = await mountTemporarily(mounts);
  return await use(mounted.path);
}
