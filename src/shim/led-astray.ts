import { posix } from 'node:path';
import { codeOf, invalidArgument } from '../errors/error.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { refuseOddMountpoints } from '../sys/mountpoints.ts';

/** Links to open files, through which a runtime's own descriptors would be the way out of the container. */
const magicLink = /^\/(?:proc\/(?:self|thread-self|\d+)|dev\/fd)(?:\/|$)/;

/**
 * Clients copy an image's WorkingDir into specifications that they write themselves, so it is looked at here too
 * (CVE-2024-21626). @throws invalid_argument
 */
export function refuseMagicDirectory(cwd: unknown): void {
  if (typeof cwd === 'string' && magicLink.test(posix.normalize(cwd)))
    throw invalidArgument(`working directory ${JSON.stringify(cwd.slice(0, 100))} is refused`);
}

/** The same of an exec's process specification, JSON; what cannot be read is the runtime's to refuse. */
export function refuseMagicExec(spec: Uint8Array): void {
  refuseMagicDirectory(cwdOf(Buffer.from(spec).toString()));
}

function cwdOf(json: string): unknown {
  try {
    return (JSON.parse(json) as { readonly cwd?: unknown } | null)?.cwd;
  } catch {
    return undefined;
  }
}

/** Of a root file system, however it came to be at `path`; one that is not there is the runtime's to name. @throws failed_precondition */
export function refuseOddRoot(path: string): void {
  using root = openIfThere(path);
  if (root !== undefined) refuseOddMountpoints(root);
}

function openIfThere(path: string): Fd | undefined {
  try {
    return openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}
