import { codeOf } from '../errors/error.ts';
import { O_CLOEXEC, O_CREAT, O_DIRECTORY, O_PATH } from './constants.ts';
import { duplicate, Fd, type FdLike, fdNumber } from './fd.ts';
import { check, cPath, kernelCall, type Path } from './ffi.ts';
import { mkdirAt } from './files.ts';

/**
 * The path-safe primitive: resolve a path under an open directory so that no symlink, `..`, magic link or racing
 * rename leads out of it, and hand back a descriptor. Everything that names a file of an image or a container goes
 * through here (security.md, rows marked fd). Needs openat2(2), Linux 5.6.
 */

const openat2Call = kernelCall(437, ['int', 'const char *', 'void *', 'uint64']);

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;

const EAGAIN = 11;
const ENOENT = 2;
const MAX_TRIES = 128;
const how = Buffer.alloc(24);

/**
 * openat2(2), close-on-exec. `resolve`: RESOLVE_ flags.
 * @throws SysError: EXDEV where the path would leave `dir`, ELOOP at a refused symlink
 */
export function openAt2(dir: FdLike, path: Path, flags: number, mode: number, resolve: number): Fd {
  return new Fd(check('openat2', tryOpenAt2(dir, path, flags, mode, resolve), path));
}

/** The descriptor, or `-errno`. */
function tryOpenAt2(dir: FdLike, path: Path, flags: number, mode: number, resolve: number): number {
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt((flags & O_CREAT) === 0 ? 0 : mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const name = cPath(path);
  for (let tries = 1; ; tries++) {
    const result = openat2Call(fdNumber(dir), name, how, how.length);
    // EAGAIN: something was renamed while `..` was resolved, so the kernel cannot tell whether it stays inside.
    if (result !== -EAGAIN || tries === MAX_TRIES) return result;
  }
}

/**
 * Opens as a process with root directory `root` would: absolute symlinks and `..` stay inside. For reading what is in an
 * image (`/etc/passwd`) and finding where something in it really is. Give O_PATH unless the file is known to be
 * harmless: opening a FIFO or a device may block or act. A last symlink is followed unless `flags` has O_NOFOLLOW.
 * @throws SysError
 */
export const openInRoot = (root: FdLike, path: Path, flags: number, mode = 0): Fd =>
  openAt2(root, isEmpty(path) ? '.' : path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

/**
 * {@link openInRoot}; undefined where there is nothing. For who looks in many places: an error would cost more than the call.
 * @throws SysError
 */
export function findInRoot(root: FdLike, path: Path, flags: number): Fd | undefined {
  const name = isEmpty(path) ? '.' : path;
  const result = tryOpenAt2(root, name, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  return result === -ENOENT ? undefined : new Fd(check('openat2', result, name));
}

/**
 * Opens a relative path in which no component is a symlink and that does not climb out of `root`.
 * @throws SysError: EXDEV (absolute, or climbs out), ELOOP (symlink)
 */
export const openBeneath = (root: FdLike, path: Path, flags: number, mode = 0): Fd =>
  openAt2(
    root,
    isEmpty(path) ? '.' : path,
    flags,
    mode,
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  );

const isEmpty = (path: Path): boolean => path.length === 0;

type Opener = (root: FdLike, path: Path, flags: number) => Fd;

/**
 * `mkdir -p` beneath `root`, without any symlink. Returns an O_PATH handle of the last directory.
 * @param mode of the directories that are made; the umask applies. @throws SysError (ELOOP, ENOTDIR, EXDEV, …)
 */
export const ensureDirBeneath = (root: FdLike, path: Path, mode = 0o755): Fd =>
  ensureDir(root, path, mode, openBeneath, undefined);

/**
 * `mkdir -p` as seen from inside `root`: symlinks on the way are followed inside it, a dangling one is an error.
 * @param onMake is called with a handle of each directory made, to give it an owner. @throws SysError
 */
export const ensureDirInRoot = (root: FdLike, path: Path, mode = 0o755, onMake?: (made: Fd) => void): Fd =>
  ensureDir(root, path, mode, openInRoot, onMake);

function ensureDir(
  root: FdLike,
  path: Path,
  mode: number,
  open: Opener,
  onMake: ((made: Fd) => void) | undefined,
): Fd {
  let current = duplicate(root);
  let prefix: Path = '';
  for (const name of componentsOf(path)) {
    using parent = current;
    prefix = joinPath(prefix, name);
    const made = ensureChild(root, prefix, open, () => mkdirAt(parent, name, mode));
    current = made.dir;
    if (made.isNew) onMake?.(current);
  }
  return current;
}

function ensureChild(
  root: FdLike,
  prefix: Path,
  open: Opener,
  make: () => void,
): { dir: Fd; isNew: boolean } {
  try {
    return { dir: open(root, prefix, O_PATH | O_DIRECTORY), isNew: false };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  const isNew = madeBy(make);
  return { dir: open(root, prefix, O_PATH | O_DIRECTORY), isNew };
}

function madeBy(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return false;
  }
}

const SLASH = 0x2f;

function componentsOf(path: Path): Path[] {
  if (typeof path === 'string') return path.split('/').filter((name) => name !== '' && name !== '.');
  const names: Uint8Array[] = [];
  for (let start = 0; start <= path.length; ) {
    const slash = path.indexOf(SLASH, start);
    const end = slash < 0 ? path.length : slash;
    const name = path.subarray(start, end);
    if (name.length > 0 && !(name.length === 1 && name[0] === 0x2e)) names.push(name);
    start = end + 1;
  }
  return names;
}

function joinPath(prefix: Path, name: Path): Path {
  if (prefix.length === 0) return name;
  if (typeof prefix === 'string' && typeof name === 'string') return `${prefix}/${name}`;
  return Buffer.concat([Buffer.from(prefix), Buffer.of(SLASH), Buffer.from(name)]);
}
