import { type FdLike, fdNumber } from './fd.ts';
import { check, cPath, libcCall, libcLongCall, type Path } from './ffi.ts';

/**
 * Extended attributes. No call follows a last symlink. `file` is an open file (not an O_PATH handle), or a path;
 * {@link pathIn} makes the path of a name in an open directory.
 */
export type XattrTarget = FdLike | Path;

const calls = {
  lget: libcLongCall('lgetxattr', ['const char *', 'const char *', 'void *', 'uint64']),
  fget: libcLongCall('fgetxattr', ['int', 'const char *', 'void *', 'uint64']),
  lset: libcCall('lsetxattr', ['const char *', 'const char *', 'void *', 'uint64', 'int']),
  fset: libcCall('fsetxattr', ['int', 'const char *', 'void *', 'uint64', 'int']),
  llist: libcLongCall('llistxattr', ['const char *', 'void *', 'uint64']),
  flist: libcLongCall('flistxattr', ['int', 'void *', 'uint64']),
};

/** The kernel's own limit on values and on lists (XATTR_SIZE_MAX, XATTR_LIST_MAX). */
const LIMIT = 65536;
const scratch = Buffer.alloc(LIMIT);

const isPath = (file: XattrTarget): file is Path => typeof file === 'string' || file instanceof Uint8Array;
const textOf = (file: XattrTarget): Path => (isPath(file) ? file : `fd ${fdNumber(file)}`);

/** A value, or undefined where there is none. @throws SysError (ENOTSUP, …) */
export function getXattr(file: XattrTarget, name: Path): Buffer | undefined {
  const key = cPath(name);
  const length = isPath(file)
    ? calls.lget(cPath(file), key, scratch, LIMIT)
    : calls.fget(fdNumber(file), key, scratch, LIMIT);
  if (length === -ENODATA) return undefined;
  return Buffer.from(scratch.subarray(0, check('getxattr', length, textOf(file))));
}

const ENODATA = 61;

/** Sets or replaces. @throws SysError */
export function setXattr(file: XattrTarget, name: Path, value: Uint8Array): void {
  const key = cPath(name);
  const result = isPath(file)
    ? calls.lset(cPath(file), key, value, value.length, 0)
    : calls.fset(fdNumber(file), key, value, value.length, 0);
  check('setxattr', result, textOf(file));
}

/** Names as bytes: the kernel allows any. @throws SysError */
export function listXattrs(file: XattrTarget): Buffer[] {
  const result = isPath(file)
    ? calls.llist(cPath(file), scratch, LIMIT)
    : calls.flist(fdNumber(file), scratch, LIMIT);
  const names: Buffer[] = [];
  const list = scratch.subarray(0, check('listxattr', result, textOf(file)));
  for (let start = 0, end: number; start < list.length; start = end + 1) {
    end = list.indexOf(0, start);
    names.push(Buffer.from(list.subarray(start, end)));
  }
  return names;
}

/** A path of one component under an open directory, for calls that have no *at form. The name is not followed. */
export function pathIn(dir: FdLike, name: Path): Path {
  const prefix = `/proc/self/fd/${fdNumber(dir)}/`;
  return typeof name === 'string' ? prefix + name : Buffer.concat([Buffer.from(prefix), name]);
}
