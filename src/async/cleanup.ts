import { messageOf } from '../errors/error.ts';
import type { Context } from './context.ts';
import { withDeadline } from './deadline.ts';
import { never } from './never.ts';

const cleanupTimeoutMs = 10_000;

/**
 * Undoes something in the caller's context, but on a deadline of its own (10 s): the caller's signal may be why it must
 * be undone. Never throws, so that it cannot hide the error that led here: a failure is logged as `could not <what>`.
 */
export async function cleanUp(
  ctx: Context,
  what: string,
  undo: (ctx: Context) => Promise<unknown>,
  timeoutMs = cleanupTimeoutMs,
): Promise<void> {
  try {
    await withDeadline(never, timeoutMs, what, (signal) => undo({ ...ctx, signal }));
  } catch (error) {
    ctx.log.warn({ error: messageOf(error) }, `could not ${what}`);
  }
}
