import type { Context } from '../async/context.ts';
import { ProgressFeed, type Report, type TransferProgress } from './progress.ts';

/**
 * Runs `work` and yields what it reports; returns what it returns. Leaving the iteration, or `ctx.signal`, cancels it,
 * and it has ended when this has.
 */
export async function* reporting<T>(
  ctx: Context,
  work: (ctx: Context, report: Report) => Promise<T>,
): AsyncGenerator<TransferProgress, T, void> {
  const feed = new ProgressFeed();
  const stop = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, stop.signal]) };
  const running = work(inner, feed.report).finally(() => feed.end());
  running.catch(() => {}); // seen below, unless the reader leaves
  try {
    yield* feed;
    return await running;
  } finally {
    stop.abort();
    await running.catch(() => {});
  }
}
