import { libcCall } from './ffi.ts';

const trimCall = libcCall('malloc_trim', ['int64']);

/**
 * Gives memory that malloc holds free back to the kernel, on a thread of libuv's pool (10 ms after a large pull, for
 * some 70 MB). Without effect where libc has no malloc_trim (musl). Never throws.
 */
export async function returnFreeMemory(): Promise<void> {
  try {
    await trimCall.wait(0);
  } catch {
    // Only a convenience.
  }
}
