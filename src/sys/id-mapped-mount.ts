import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC } from './constants.ts';
import { Fd } from './fd.ts';
import { check, kernelCall } from './ffi.ts';

const openTreeCall = kernelCall(428, ['int', 'const char *', 'uint32']);
const moveMountCall = kernelCall(429, ['int', 'const char *', 'int', 'const char *', 'uint32']);
const mountSetattrCall = kernelCall(442, ['int', 'const char *', 'uint32', 'void *', 'uint64']);
const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_IDMAP = 0x100000n;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/**
 * Mounts a directory on another, read-only, with the owners that its files have in a user namespace (Linux 5.12; as a
 * lower directory of overlayfs 5.19). @throws SysError (EINVAL: its file system cannot)
 */
export function mountIdMapped(source: string, target: string, userNamespace: Fd): void {
  const flags = OPEN_TREE_CLONE | O_CLOEXEC;
  using tree = new Fd(check('open_tree', openTreeCall(AT_FDCWD, source, flags), source));
  // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(MOUNT_ATTR_RDONLY | MOUNT_ATTR_IDMAP, 0);
  attributes.writeBigUInt64LE(BigInt(userNamespace.fd), 24);
  check('mount_setattr', mountSetattrCall(tree.fd, '', AT_EMPTY_PATH, attributes, 32), source);
  check('move_mount', moveMountCall(tree.fd, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), target);
}
