import { codeOf, failedPrecondition, invalidArgument, messageOf, notFound } from '../errors/error.ts';
import type { ByteString } from '../layers/tar-entry.ts';
import { openInRoot } from '../sys/beneath.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { statFileSystem } from '../sys/file-system.ts';
import { openAt } from '../sys/files.ts';

/** The root that paths are looked up in. @throws SysError */
export const rootOf = (path: string): Fd => openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);

/** Where a path leads to: something in an open directory, or with base '' that directory itself. */
export interface TreePath extends Disposable {
  readonly directory: Fd;
  readonly base: ByteString;
}

/** Names longer than this no kernel resolves. */
const maxPathBytes = 4095;

/** Bytes of a path as people write it, from the root. @throws invalid_argument (empty, NUL, too long) */
export function pathBytes(path: string): ByteString {
  if (path === '' || path.includes('\0'))
    throw invalidArgument(`path ${JSON.stringify(path)}: empty or with NUL`);
  const bytes = Buffer.from(path).toString('latin1');
  if (bytes.length > maxPathBytes)
    throw invalidArgument(`path of ${bytes.length} bytes: at most ${maxPathBytes}`);
  return bytes;
}

/** Whether a path asks for what is in a directory: the root, or it ends in `/`, `/.` or `/..`. */
export const meansDirectory = (path: ByteString): boolean => /(?:^|\/)\.{0,2}$/.test(path);

/**
 * Finds a path as a process with root directory `root` would; symlinks on the way stay inside, a last one is not followed
 * unless {@link meansDirectory}. What is there may be anything, and nothing is opened but directories.
 * @throws not_found, invalid_argument, failed_precondition (a file of the kernel's own: /proc, /sys, …), SysError
 */
export function findPath(root: Fd, path: ByteString): TreePath {
  const whole = meansDirectory(path);
  const slash = path.lastIndexOf('/');
  const parent = whole ? path : path.slice(0, slash + 1);
  const directory = openDirectory(root, parent);
  try {
    refuseKernelFiles(directory, path);
  } catch (error) {
    directory.close();
    throw error;
  }
  return { directory, base: whole ? '' : path.slice(slash + 1), [Symbol.dispose]: () => directory.close() };
}

/** Opens a directory as seen from inside, links followed. @throws as {@link findPath} */
export function openDirectory(root: Fd, path: ByteString): Fd {
  try {
    return openInRoot(root, Buffer.from(path === '' ? '.' : path, 'latin1'), O_PATH | O_DIRECTORY);
  } catch (error) {
    throw inWords(error, path);
  }
}

/** What the kernel says of a path, as kinds that callers tell apart. */
export function inWords(error: unknown, path: ByteString): unknown {
  const shown = Buffer.from(path, 'latin1').toString();
  const code = codeOf(error) ?? '';
  if (code === 'ENOENT') return notFound(`path ${shown}: no such file or directory`, error);
  if (code === 'ENOTDIR') return failedPrecondition(`path ${shown}: not a directory`, error);
  if (code === 'EROFS') return failedPrecondition(`path ${shown}: read-only file system`, error);
  if (code === 'EBUSY') return failedPrecondition(`path ${shown}: something is mounted there`, error);
  if (['ELOOP', 'EXDEV', 'ENAMETOOLONG', 'EINVAL'].includes(code))
    return invalidArgument(`path ${shown}: ${messageOf(error)}`, error);
  return error;
}

/** Magic numbers (linux/magic.h) of file systems whose files are doors to the kernel. */
const kernels: Readonly<Record<number, string>> = {
  40864: 'proc',
  1650812274: 'sysfs',
  2613483: 'cgroup',
  1667723888: 'cgroup2',
  7377: 'devpts',
  427819522: 'mqueue',
  1684170528: 'debugfs',
  1953653091: 'tracefs',
  1935894131: 'securityfs',
  3405662737: 'bpf',
  1650812272: 'configfs',
  1853056627: 'nsfs',
};

/** The kind of the kernel's own file system that a file is on; undefined on any other. */
export const kernelFiles = (file: Fd): string | undefined => kernels[statFileSystem(file).magic >>> 0];

/** @throws failed_precondition */
export function refuseKernelFiles(directory: Fd, path: ByteString): void {
  const kind = kernelFiles(directory);
  if (kind !== undefined)
    throw failedPrecondition(`path ${Buffer.from(path, 'latin1')}: files of ${kind} are not copied`);
}
