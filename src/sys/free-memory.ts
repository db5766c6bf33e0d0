import { libcCall } from './ffi.ts';
import { dropProgramPages } from './program-pages.ts';

const trimCall = libcCall('malloc_trim', ['int64']);

/**
 * Gives memory that is held and not used back to the kernel: garbage (where Node runs with `--expose-gc`), what malloc
 * keeps free, and the pages of the program that only starting needed. Stalls the event loop for the garbage collection
 * (20-50 ms), so it is for quiet moments. Never throws; does what the platform has (no malloc_trim with musl). Measured in
 * docs/decisions/0003.
 */
export async function returnFreeMemory(): Promise<void> {
  try {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await trimCall.wait(0);
    dropProgramPages();
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
