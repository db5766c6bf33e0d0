import { readFileSync, realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { libcCall } from './ffi.ts';

const trimCall = libcCall('malloc_trim', ['int64']);
const adviseCall = libcCall('madvise', ['int64', 'int64', 'int']);
const MADV_DONTNEED = 4;

/**
 * Gives memory that is held and not used back to the kernel: garbage (where Node runs with `--expose-gc`), what malloc
 * keeps free, and the pages of Node's own program that only starting needed, which come back from the page cache on
 * touch. Stalls the event loop for the garbage collection (20-50 ms), so it is for quiet moments. Never throws; does
 * what the platform has (no malloc_trim with musl). Measured in docs/decisions/0003.
 */
export async function returnFreeMemory(): Promise<void> {
  try {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await trimCall.wait(0);
    unmapProgramPages();
  } catch {
    // Only a convenience.
  }
}

/** Short-lived buffers are collected after so many bytes of them. */
const passingLimitBytes = 4 * 2 ** 20;
let passingBytes = 0;

/**
 * Notes that `bytes` came in buffers that are dropped as soon as they are used. V8 sees only their small heads and lets
 * them pile up to some 64 MB a thread, and then marks the whole heap to get rid of them (20-40 ms on the event loop, every
 * 10 MB); after every 4 MiB this collects the young ones (a fraction of a millisecond with a small young generation).
 * Does nothing without `--expose-gc`.
 */
export function passedThrough(bytes: number): void {
  passingBytes += bytes;
  if (passingBytes < passingLimitBytes) return;
  passingBytes = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}

/** Resident bytes that must have been added since the last time before it is worth a garbage collection. */
const worthwhileBytes = 8 * 2 ** 20;
/** What outlives its work by a moment (16 MB after a pull) is not free yet at the first pass. */
const nextPassMs = 5_000;
const maxPasses = 6;
/** Share of time that the event loop may be busy between passes; above it, whoever is at work will be quiet again. */
const busyShare = 0.2;
/** Below it nothing is at work, so that what is resident then is what stays. */
const quietShare = 0.05;
/** After the last pass; 0 where work went on then. */
let residentBytes = 0;
let passing = false;
/** Asked for once more while passes go on. */
let wanted = false;

const hasGrownFrom = (bytes: number): boolean => process.memoryUsage.rss() > bytes + worthwhileBytes;

/**
 * {@link returnFreeMemory}, when the process has grown by 8 MiB since this was called last; again every 5 s, at least once
 * more, until it grows no longer (threads that end touch what was given back).
 */
export async function returnGrownMemory(): Promise<void> {
  if (!hasGrownFrom(residentBytes)) return;
  wanted = true;
  if (passing) return;
  passing = true;
  for (let pass = 1; pass <= maxPasses; pass++) {
    if (wanted) pass = 1;
    wanted = false;
    await returnFreeMemory();
    residentBytes = process.memoryUsage.rss();
    const since = performance.eventLoopUtilization();
    await sleep(nextPassMs, undefined, { ref: false });
    const { utilization } = performance.eventLoopUtilization(since);
    // What is at work holds what it will not need: what it leaves is no growth, and is looked at all the same.
    if (utilization > quietShare) residentBytes = 0;
    if (!wanted && (utilization > busyShare || (pass > 1 && !hasGrownFrom(residentBytes)))) break;
  }
  passing = false;
}

/** Safe while other threads run: unwritten pages of a file mapping hold nothing that the file does not. */
function unmapProgramPages(): void {
  for (const { start, end } of pristineMappings(
    readFileSync('/proc/self/smaps', 'latin1'),
    realpathSync('/proc/self/exe'),
  ))
    adviseCall(start, end - start, MADV_DONTNEED);
}

/** Private, not writable mappings of `program` that no relocation has written to. */
export function pristineMappings(smaps: string, program: string): { start: bigint; end: bigint }[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((entry) => {
    const [, start, end, path] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +(\/.*)$/m.exec(entry) ?? [];
    if (path !== program || !/^Anonymous: +0 kB$/m.test(entry)) return [];
    return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }];
  });
}
