import { readSync } from 'node:fs';
import { failedPrecondition, resourceExhausted } from '../errors/error.ts';
import { openInRoot } from './beneath.ts';
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY, S_IFREG } from './constants.ts';
import { Fd, type FdLike } from './fd.ts';
import { check, cPath, libcCall, type Path, pathText } from './ffi.ts';
import { openAt } from './files.ts';
import { statFd, typeOf } from './stat.ts';

const openCall = libcCall('open', ['const char *', 'int', 'uint32']);

/**
 * A regular file as a process with root directory `root` (path or open directory) would read it. Never blocks: FIFOs,
 * devices and sockets are refused before they are opened.
 * @throws SysError (ENOENT, EACCES, ELOOP, …), failed_precondition (not a regular file), resource_exhausted (over the limit)
 */
export function readFileInRoot(root: FdLike | string, path: Path, limitBytes: number): Buffer {
  if (typeof root === 'string') {
    using dir = openAt(AT_FDCWD, root, O_PATH | O_DIRECTORY);
    return readFileInRoot(dir, path, limitBytes);
  }
  using file = openRegularInRoot(root, path);
  return readBounded(file, path, limitBytes);
}

/** Opens a regular file for reading, as {@link readFileInRoot} does. */
export function openRegularInRoot(root: FdLike, path: Path): Fd {
  using handle = openInRoot(root, path, O_PATH);
  if (typeOf(statFd(handle)) !== S_IFREG) throw failedPrecondition(`${pathText(path)} is not a regular file`);
  return reopen(handle, O_RDONLY | O_NONBLOCK);
}

/** Opens the very file of an O_PATH handle for reading or writing, whatever has become of its name. */
export function reopen(handle: Fd, flags: number): Fd {
  const path = handle.procPath;
  return new Fd(check('open', openCall(cPath(path), flags | O_CLOEXEC, 0), path));
}

function readBounded(file: Fd, path: Path, limitBytes: number): Buffer {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.min(65536, limitBytes - total + 1));
    const length = readSync(file.fd, chunk);
    if (length === 0) return Buffer.concat(chunks);
    total += length;
    if (total > limitBytes) throw resourceExhausted(`${pathText(path)} is larger than ${limitBytes} bytes`);
    chunks.push(chunk.subarray(0, length));
  }
}
