import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { codeOf } from '../errors/error.ts';

/** Makes a directory with exactly this mode, whatever the umask. Returns false when it was there. */
export async function ensureDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  await chmod(path, mode);
  return true;
}

/** Makes a directory with owner and mode of `like`, or 0755 of root where there is none. */
export async function ensureDirectoryLike(path: string, like: string | undefined): Promise<void> {
  const from = like === undefined ? undefined : await stat(like);
  const made = await ensureDirectory(path, from === undefined ? 0o755 : from.mode & 0o7777);
  if (!made || from === undefined || (from.uid === 0 && from.gid === 0)) return;
  await chown(path, from.uid, from.gid);
  await chmod(path, from.mode & 0o7777);
}
