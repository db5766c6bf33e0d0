import type { Context } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';

/** For undoing: the caller may be gone, the work still has to be done, in at most 10 s. */
export const detached = (ctx: Context): Context => ({ ...ctx, signal: AbortSignal.timeout(10_000) });

/** Undoes in a detached context; a failure is logged and never hides the error that led here. */
export async function undoQuietly(
  ctx: Context,
  what: string,
  work: (ctx: Context) => Promise<void>,
): Promise<void> {
  try {
    await work(detached(ctx));
  } catch (error) {
    ctx.log.warn({ error: messageOf(error) }, `undo: ${what}`);
  }
}
