import { messageOf } from '../errors/error.ts';
import type { Log } from './context.ts';
import { withDeadline } from './deadline.ts';

/** Undoing gets this long, whatever has become of the caller. */
const cleanupTimeoutMs = 10_000;

type Undo = (signal: AbortSignal) => Promise<unknown>;

/**
 * Undoes something on a deadline of its own, because the caller's signal may be why it must be undone. Never throws, so
 * that it cannot hide the error that led here: a failure is logged as `could not <what>`.
 */
export async function cleanUp(
  what: string,
  log: Log,
  undo: Undo,
  timeoutMs = cleanupTimeoutMs,
): Promise<void> {
  try {
    await withDeadline(new AbortController().signal, timeoutMs, what, undo);
  } catch (error) {
    log.warn({ error: messageOf(error) }, `could not ${what}`);
  }
}
