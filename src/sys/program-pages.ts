import { readFileSync } from 'node:fs';
import { O_CLOEXEC, SYS_USERFAULTFD } from './constants.ts';
import { Fd } from './fd.ts';
import { kernelCall, libcCall } from './ffi.ts';

const adviseCall = libcCall('madvise', ['int64', 'int64', 'int']);
const MADV_DONTNEED = 4;

/** A part of the address space. */
export interface Mapping {
  readonly start: bigint;
  /** The first address behind it. */
  readonly end: bigint;
}

/**
 * Gives the pages of Node's program and its libraries back that nobody wrote to: only starting needed most of them, and
 * what is touched again comes back from the page cache, page by page (see {@link faultSinglePages}). Safe while other
 * threads run: unwritten pages of a file mapping hold nothing that the file does not.
 */
export function dropProgramPages(): void {
  const mappings = pristineMappings(readFileSync('/proc/self/smaps', 'latin1'));
  // Otherwise the legacy properties of RegExp would hold all of it.
  /^/.test('');
  faultSinglePages(mappings);
  for (const { start, end } of mappings) adviseCall(start, end - start, MADV_DONTNEED);
}

/** Private, not writable mappings of files that nobody has written to, not even the linker's relocations. */
export function pristineMappings(smaps: string): Mapping[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((entry) => {
    const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +\//.exec(entry) ?? [];
    if (start === undefined || end === undefined || !/^Anonymous: +0 kB$/m.test(entry)) return [];
    return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }];
  });
}

const userfaultfdCall = kernelCall(SYS_USERFAULTFD, ['int']);
const ioctlCall = libcCall('ioctl', ['int', 'uint64', 'void *']);
const UFFD_USER_MODE_ONLY = 1;
/** _IOWR(0xaa, 0x3f, struct uffdio_api) */
const UFFDIO_API = 0xc018aa3f;
const UFFD_API = 0xaan;
/** Kernel 6.7: write protection by the kernel alone, for mappings of any kind. */
const UFFD_FEATURE_WP_ASYNC = 1n << 15n;
/** _IOWR(0xaa, 0x00, struct uffdio_register) */
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_REGISTER_MODE_WP = 2n;

/** Open as long as the process lives, because closing it takes the registrations back; null where the kernel has none. */
let userfaultfd: Fd | null | undefined;

/**
 * Makes the kernel map the one page that is touched, not the 64 KiB (from 6.18 on the folio) around it: code that runs now
 * and then is spread over all of Node, and each spot would bring 16 pages back. Mappings that are registered with userfaultfd
 * are spared that "fault-around". Nothing is ever write-protected, so nobody waits for an answer. Does nothing before kernel 6.7.
 */
function faultSinglePages(mappings: readonly Mapping[]): void {
  userfaultfd ??= openUserfaultfd();
  if (userfaultfd === null) return;
  for (const { start, end } of mappings)
    ioctlCall(userfaultfd.fd, UFFDIO_REGISTER, words(start, end - start, UFFDIO_REGISTER_MODE_WP, 0n));
}

function openUserfaultfd(): Fd | null {
  const number = userfaultfdCall(O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (number < 0) return null;
  const fd = new Fd(number);
  if (ioctlCall(number, UFFDIO_API, words(UFFD_API, UFFD_FEATURE_WP_ASYNC, 0n)) === 0) return fd;
  fd.close();
  return null;
}

/** Of 64 bits each. */
const words = (...values: bigint[]): Uint8Array => new Uint8Array(new BigUint64Array(values).buffer);
