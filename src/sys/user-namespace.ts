import { openSync, writeFileSync } from 'node:fs';
import { Fd } from './fd.ts';
import { addressOf, addressOfFunction, check, libcCall } from './ffi.ts';

/** One line of /proc/<pid>/uid_map: `length` ids from `inside` on are those from `outside` on. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly length: number;
}

const cloneCall = libcCall('clone', ['uint64', 'uint64', 'int', 'uint64']);
const waitpidCall = libcCall('waitpid', ['int', 'void *', 'int']);
const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;
const CLONE_NEWUSER = 0x10000000;
const WALL = 0x40000000;
const stackBytes = 16 * 1024;

/**
 * A user namespace with these maps that nobody lives in, for mounts that show other owners. It is made by a child that
 * ends at once, while this thread waits (vfork): its only instruction is to call getppid. What is left of it until it is
 * reaped lends its /proc entry. @throws SysError (EPERM, ENOSPC: no more user namespaces; EINVAL: not such maps)
 */
export function makeUserNamespace(uids: readonly IdRange[], gids: readonly IdRange[]): Fd {
  const stack = Buffer.alloc(stackBytes);
  const top = (addressOf(stack) + BigInt(stackBytes)) & ~15n;
  const flags = CLONE_VM | CLONE_VFORK | CLONE_NEWUSER;
  const pid = check('clone', cloneCall(addressOfFunction('getppid'), top, flags, 0));
  try {
    writeFileSync(`/proc/${pid}/uid_map`, linesOf(uids));
    writeFileSync(`/proc/${pid}/gid_map`, linesOf(gids));
    return new Fd(openSync(`/proc/${pid}/ns/user`, 'r'));
  } finally {
    waitpidCall(pid, Buffer.alloc(4), WALL);
  }
}

const linesOf = (ranges: readonly IdRange[]): string =>
  ranges.map(({ inside, outside, length }) => `${inside} ${outside} ${length}\n`).join('');
