import { codeOf, resourceExhausted } from '../errors/error.ts';
import { O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { printable } from './pax.ts';
import type { TarEntry } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/** Is there a directory of this name? A link to one is none. */
export function isDirectory(parent: Fd, name: string | Uint8Array): boolean {
  try {
    openAt(parent, name, O_PATH | O_DIRECTORY).close();
    return true;
  } catch (error) {
    if (['ENOTDIR', 'ENOENT', 'ELOOP'].includes(codeOf(error) ?? '')) return false;
    throw error;
  }
}

/** Is there anything of this name? */
export function exists(parent: Fd, name: string | Uint8Array): boolean {
  try {
    openAt(parent, name, O_PATH).close();
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

const layerFaults = new Set([
  'ENAMETOOLONG',
  'ELOOP',
  'ENOTDIR',
  'EINVAL',
  'EPERM',
  'EMLINK',
  'EFBIG',
  'ENOENT',
]);

/** What the kernel refuses because of the member itself is the layer's fault; a full disk is its own kind. */
export function translate(error: unknown, entry: TarEntry): unknown {
  const code = codeOf(error) ?? '';
  if (layerFaults.has(code)) return badTar(`cannot make ${entry.type} ${printable(entry.name)}: ${code}`);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return resourceExhausted(`no space left for ${printable(entry.name)}`, error);
  return error;
}
