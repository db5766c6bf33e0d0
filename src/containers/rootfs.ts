import { chownSync } from 'node:fs';
import { codeOf, invalidArgument, messageOf, wrap } from '../errors/error.ts';
import { accountFileLimitBytes } from '../oci/spec/account-files.ts';
import type { AccountFiles } from '../oci/spec/user.ts';
import { ensureDirInRoot } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd, FdLike } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { goesThroughMagicLink } from '../sys/magic-links.ts';
import { readFileInRoot } from '../sys/read-file.ts';

/** An open root directory of a container or an image; everything in it is somebody else's. */
export const openRootfs = (path: string): Fd => openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);

/**
 * /etc/passwd and /etc/group as a process inside would see them; regular files of at most 10 MiB only, links stay inside
 * (CVE-2026-47262, CVE-2024-9676). @throws invalid_argument
 */
export const readAccountFiles = (root: FdLike): AccountFiles => ({
  passwd: readAccountFile(root, '/etc/passwd'),
  group: readAccountFile(root, '/etc/group'),
});

function readAccountFile(root: FdLike, path: string): Uint8Array | undefined {
  try {
    return readFileInRoot(root, path, accountFileLimitBytes);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw invalidArgument(`the image's ${messageOf(error)}`, error);
  }
}

/** Makes the working directory inside the root, owned by its root user (CVE-2026-55686), who is `owner` outside. Idempotent. @throws invalid_argument */
export function makeWorkingDir(
  root: FdLike,
  path: string,
  owner: readonly [uid: number, gid: number] = [0, 0],
): void {
  if (path === '/') return;
  if (goesThroughMagicLink(path, root))
    throw invalidArgument(`working directory ${path} is refused: it leads to open files`);
  try {
    using _ = ensureDirInRoot(root, path, 0o755, (made) => {
      if (owner.some((id) => id !== 0)) chownSync(made.procPath, ...owner);
    });
  } catch (error) {
    const odd = ['ELOOP', 'ENOTDIR', 'EXDEV', 'ENOENT', 'ENAMETOOLONG'].includes(codeOf(error) ?? '');
    if (odd)
      throw invalidArgument(
        `working directory ${path} cannot be made in the image: ${messageOf(error)}`,
        error,
      );
    throw wrap(error, `working directory ${path}`);
  }
}
