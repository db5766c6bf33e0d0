import { notImplemented } from '../errors/error.ts';

/** Bits of mount(2), linux/mount.h. */
export const MS_RDONLY = 1;
export const MS_NOSUID = 1 << 1;
export const MS_NODEV = 1 << 2;
export const MS_NOEXEC = 1 << 3;
export const MS_REMOUNT = 1 << 5;
export const MS_NOATIME = 1 << 10;
export const MS_NODIRATIME = 1 << 11;
export const MS_BIND = 1 << 12;
export const MS_REC = 1 << 14;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;

interface Word {
  readonly set?: number;
  readonly clear?: number;
}

const words: ReadonlyMap<string, Word> = new Map([
  ['defaults', {}],
  ['auto', {}],
  ['noauto', {}],
  ...pair('ro', 'rw', MS_RDONLY),
  ...pair('nosuid', 'suid', MS_NOSUID),
  ...pair('nodev', 'dev', MS_NODEV),
  ...pair('noexec', 'exec', MS_NOEXEC),
  ...pair('sync', 'async', 1 << 4),
  ...pair('remount', '', MS_REMOUNT),
  ...pair('mand', 'nomand', 1 << 6),
  ...pair('dirsync', '', 1 << 7),
  ...pair('nosymfollow', 'symfollow', 1 << 8),
  ...pair('noatime', 'atime', MS_NOATIME),
  ...pair('nodiratime', 'diratime', MS_NODIRATIME),
  ...pair('bind', '', MS_BIND),
  ...pair('rbind', '', MS_BIND | MS_REC),
  ...pair('silent', 'loud', 1 << 15),
  ...pair('relatime', 'norelatime', MS_RELATIME),
  ...pair('iversion', 'noiversion', 1 << 23),
  ...pair('strictatime', 'nostrictatime', 1 << 24),
  ...pair('lazytime', 'nolazytime', 1 << 25),
]);

function pair(on: string, off: string, bits: number): [string, Word][] {
  return off === ''
    ? [[on, { set: bits }]]
    : [
        [on, { set: bits }],
        [off, { clear: bits }],
      ];
}

const propagationWords: ReadonlyMap<string, number> = new Map([
  ['private', MS_PRIVATE],
  ['rprivate', MS_PRIVATE | MS_REC],
  ['slave', MS_SLAVE],
  ['rslave', MS_SLAVE | MS_REC],
  ['shared', MS_SHARED],
  ['rshared', MS_SHARED | MS_REC],
  ['unbindable', MS_UNBINDABLE],
  ['runbindable', MS_UNBINDABLE | MS_REC],
]);

export interface MountOptions {
  /** MS_ bits for mount(2), without propagation. */
  readonly flags: number;
  /** Bits that a word such as `suid` asked to be off; a bind remount must not inherit them. */
  readonly cleared: number;
  /** MS_ bits of each propagation change, made by a call of its own. */
  readonly propagation: readonly number[];
  /** The source is a file, to be mounted over a loop device. */
  readonly loop: boolean;
  /** What is left for the file system, in order, comma-joined it is mount(2)'s data. */
  readonly data: readonly string[];
}

/**
 * Sorts option words as mount(8) and containerd's clients write them; the last word on a bit wins.
 * @throws not_implemented for id-mapped mounts
 */
export function parseMountOptions(options: readonly string[]): MountOptions {
  let flags = 0;
  let cleared = 0;
  let loop = false;
  const propagation: number[] = [];
  const data: string[] = [];
  for (const option of options) {
    const word = words.get(option);
    const change = propagationWords.get(option);
    refuseUnsupported(option);
    if (option === 'loop') loop = true;
    else if (change !== undefined) propagation.push(change);
    else if (word === undefined) data.push(option);
    else {
      flags = (flags | (word.set ?? 0)) & ~(word.clear ?? 0);
      cleared = (cleared | (word.clear ?? 0)) & ~(word.set ?? 0);
    }
  }
  return { flags, cleared, propagation, loop, data };
}

function refuseUnsupported(option: string): void {
  if (/^(uidmap|gidmap)=/.test(option))
    throw notImplemented(`mount option ${JSON.stringify(option)} is not supported`);
}
