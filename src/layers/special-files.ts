import { S_IFBLK, S_IFCHR, S_IFIFO } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { mknodAt, symlinkAt } from '../sys/files.ts';
import { toPath } from './member-path.ts';
import { printable } from './pax.ts';
import type { TarEntry } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/**
 * Makes a symlink, FIFO or device. A 0:0 character device would be an overlay whiteout that no `.wh.` name announces,
 * so it is refused. @throws invalid_argument, SysError EEXIST
 */
export function makeSpecial(parent: Fd, name: string | Uint8Array, entry: TarEntry): void {
  const permissions = entry.mode & 0o777;
  if (entry.type === 'symlink') symlinkAt(toPath(entry.linkName), parent, name);
  else if (entry.type === 'fifo') mknodAt(parent, name, S_IFIFO | permissions);
  else makeDevice(parent, name, entry, (entry.type === 'char' ? S_IFCHR : S_IFBLK) | permissions);
}

function makeDevice(parent: Fd, name: string | Uint8Array, entry: TarEntry, mode: number): void {
  const { deviceMajor, deviceMinor } = entry;
  if (entry.type === 'char' && deviceMajor === 0 && deviceMinor === 0)
    throw badTar(`${printable(entry.name)} is a 0:0 device, which only an overlay whiteout may be`);
  mknodAt(parent, name, mode, deviceMajor, deviceMinor);
}
