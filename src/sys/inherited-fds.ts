import { readdirSync } from 'node:fs';
import { libcCall } from './ffi.ts';

const fcntlCall = libcCall('fcntl', ['int', 'int', 'int64']);
const closeCall = libcCall('close', ['int']);
const F_GETFD = 1;
const FD_CLOEXEC = 1;

/**
 * Closes what whoever started this program left open in it: everything of our own is close-on-exec, so what is not
 * came from outside, and would go on into every runtime (CVE-2016-9962, CVE-2024-21626). Node sees to low numbers only.
 * stdin, stdout and stderr stay. To be called once, first thing.
 */
export function closeInheritedFds(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    const flags = fcntlCall(fd, F_GETFD, 0);
    // Negative: readdir's own, which is closed by now.
    if (fd > 2 && flags >= 0 && (flags & FD_CLOEXEC) === 0) closeCall(fd);
  }
}
