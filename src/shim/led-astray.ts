import { codeOf, invalidArgument } from '../errors/error.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { goesThroughMagicLink } from '../sys/magic-links.ts';
import { refuseOddMountpoints } from '../sys/mountpoints.ts';

/**
 * What of an image could lead a runtime astray, in specifications that any client made: links in place of mountpoints
 * (CVE-2025-31133) and a working directory behind a link to an open file (CVE-2024-21626). A root file system that is
 * not there is the runtime's to name. @throws failed_precondition, invalid_argument
 */
export function refuseOddRoot(path: string, cwd: unknown): void {
  using root = openIfThere(path);
  if (root !== undefined) refuseOddMountpoints(root);
  refuseMagicDirectory(cwd, root);
}

function refuseMagicDirectory(cwd: unknown, root?: Fd): void {
  if (typeof cwd === 'string' && goesThroughMagicLink(cwd, root))
    throw invalidArgument(`working directory ${JSON.stringify(cwd.slice(0, 100))} is refused`);
}

/** The same for the working directory of an exec's process specification, JSON, by its words. @throws invalid_argument */
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

function openIfThere(path: string): Fd | undefined {
  try {
    return openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}
