import { AT_FDCWD, O_PATH } from './constants.ts';
import { Fd } from './fd.ts';
import { check, cPath, kernelCall } from './ffi.ts';
import { openAt } from './files.ts';
import {
  type MountOptions,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
} from './mount-options.ts';

/** Overlays whose options exceed the page that mount(2) takes: some 100 layers and more. */

const fsopenCall = kernelCall(430, ['const char *', 'uint32']);
const fsconfigCall = kernelCall(431, ['int', 'uint32', 'const char *', 'const char *', 'int']);
const fsmountCall = kernelCall(432, ['int', 'uint32', 'uint32']);
const moveMountCall = kernelCall(429, ['int', 'const char *', 'int', 'const char *', 'uint32']);
/** mount(2) takes one page of data, its closing NUL included. */
export const MAX_DATA_BYTES = 4095;
const SET_FLAG = 0;
const SET_STRING = 1;
const CMD_CREATE = 6;
const CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_SYMLINKS = 0x10;

type RawMount = (
  source: string,
  place: string,
  type: string | null,
  flags: number,
  data: string,
) => Promise<void>;

/**
 * Hands the layers over one by one (`lowerdir+`, Linux 6.7), so that there is no limit but overlayfs' own 500. Older
 * kernels get one string in which every directory is a short /proc/self/fd path: about 230 layers.
 */
export async function mountLongOverlay(
  options: MountOptions,
  source: string,
  place: string,
  mount: RawMount,
) {
  const words = options.data.map(splitWord);
  using opened = new DisposableStack();
  try {
    return mountByLayer(words, options.flags, source, place, opened);
  } catch (error) {
    const data = words.map(([key, value]) => shortWord(key, value, opened)).join(',');
    if (Buffer.byteLength(data) > MAX_DATA_BYTES) throw error;
    await mount(source, place, 'overlay', options.flags, data);
  }
}

type Word = readonly [key: string, value: string | undefined];
const splitWord = (word: string): Word => {
  const equals = word.indexOf('=');
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
};

function mountByLayer(
  words: readonly Word[],
  flags: number,
  source: string,
  place: string,
  opened: DisposableStack,
) {
  using context = new Fd(check('fsopen', fsopenCall('overlay', CLOEXEC)));
  const set = (key: string, value: string | undefined) => {
    const kind = value === undefined ? SET_FLAG : SET_STRING;
    check('fsconfig', fsconfigCall(context.fd, kind, key, value === undefined ? null : cPath(value), 0));
  };
  set('source', source);
  for (const [key, value] of words) {
    if (key === 'lowerdir') for (const dir of layersOf(value)) set('lowerdir+', shortPath(dir, opened));
    else set(key, isDirectory(key) ? shortPath(value ?? '', opened) : value);
  }
  check('fsconfig', fsconfigCall(context.fd, CMD_CREATE, null, null, 0));
  using mounted = new Fd(check('fsmount', fsmountCall(context.fd, CLOEXEC, attributesOf(flags))));
  const how = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
  check('move_mount', moveMountCall(mounted.fd, '', AT_FDCWD, place, how));
}

const isDirectory = (key: string): boolean => key === 'upperdir' || key === 'workdir';

/** `a:b:c` with `\:` standing for a colon. Data-only layers (`::`) are not ours to make. */
const layersOf = (value = ''): string[] => value.split(/(?<!\\):/);

/** fsconfig(2) takes strings of 255 bytes: a longer path becomes that of a descriptor, open until `opened` is disposed. */
const shortPath = (escaped: string, opened: DisposableStack): string =>
  Buffer.byteLength(escaped) < 256 ? escaped : procPath(escaped, opened);

const procPath = (escaped: string, opened: DisposableStack): string =>
  opened.use(openAt(AT_FDCWD, escaped.replace(/\\(.)/g, '$1'), O_PATH)).procPath;

function shortWord(key: string, value: string | undefined, opened: DisposableStack): string {
  if (value === undefined) return key;
  if (isDirectory(key)) return `${key}=${procPath(value, opened)}`;
  if (key !== 'lowerdir') return `${key}=${value}`;
  return `${key}=${layersOf(value)
    .map((dir) => procPath(dir, opened))
    .join(':')}`;
}

// MOUNT_ATTR_ bits equal MS_ bits below 16; the access-time ones are a field of their own.
function attributesOf(flags: number): number {
  const same = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  const noatime = (flags & MS_NOATIME) === 0 ? 0 : 0x10;
  return same | noatime | ((flags & MS_NODIRATIME) === 0 ? 0 : 0x80);
}
