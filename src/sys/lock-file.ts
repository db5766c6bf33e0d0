import { AT_FDCWD, O_CREAT, O_RDWR } from './constants.ts';
import { type Fd, fdNumber } from './fd.ts';
import { check, libcCall } from './ffi.ts';
import { openAt } from './files.ts';

const flockCall = libcCall('flock', ['int', 'int']);
const LOCK_EX_NB = 2 | 4;
const EAGAIN = 11;

/**
 * An exclusive lock on a file, held until disposed or until this process ends however it ends (flock(2)). The file is
 * made (0600) where missing and never removed: removing it would let two holders in.
 * @returns undefined while another holds it. @throws SysError
 */
export function tryLockFile(path: string): Fd | undefined {
  const file = openAt(AT_FDCWD, path, O_RDWR | O_CREAT, 0o600);
  const result = flockCall(fdNumber(file), LOCK_EX_NB);
  if (result === 0) return file;
  file.close();
  if (result === -EAGAIN) return undefined;
  check('flock', result, path);
  return undefined;
}
