import { codeOf, failedPrecondition } from '../errors/error.ts';
import { S_IFDIR } from './constants.ts';
import type { FdLike } from './fd.ts';
import { statAt, typeOf } from './stat.ts';

/**
 * Runtimes mount over /proc, /sys and /dev of a root file system; where one of them is a link they could be led astray
 * (CVE-2025-31133, CVE-2025-52565, CVE-2019-19921). @throws failed_precondition unless each is absent or a directory
 */
export function refuseOddMountpoints(root: FdLike): void {
  for (const name of ['proc', 'sys', 'dev']) {
    const type = typeAt(root, name);
    if (type !== undefined && type !== S_IFDIR)
      throw failedPrecondition(`the image's /${name} is not a directory: containers of it are refused`);
  }
}

function typeAt(root: FdLike, name: string): number | undefined {
  try {
    return typeOf(statAt(root, name));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
