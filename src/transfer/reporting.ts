import { type Context, namespaceOf } from '../async/context.ts';
import type { TransferParts } from './parts.ts';
import { ProgressFeed, type Report, type TransferProgress } from './progress.ts';
import type { Subject } from './running-transfer.ts';
import { StallWatch } from './stall-watch.ts';

/**
 * Runs `work` and yields what it reports; returns what it returns. Meanwhile it is one of the daemon's running
 * transfers, which others can watch and cancel. Leaving the iteration, or `ctx.signal`, cancels it as well, and it has
 * ended when this has. @throws unavailable when nothing has moved for too long, what `work` throws
 */
export async function* reporting<T>(
  parts: Pick<TransferParts, 'running' | 'stallMs'>,
  ctx: Context,
  subject: Subject,
  work: (ctx: Context, report: Report) => Promise<T>,
): AsyncGenerator<TransferProgress, T, void> {
  const feed = new ProgressFeed();
  const stop = new AbortController();
  const tracked = parts.running.start(namespaceOf(ctx), subject);
  using stalls = new StallWatch(parts.stallMs, subject);
  const report: Report = (progress) => {
    stalls.touch();
    tracked.transfer.see(progress);
    tracked.changed();
    feed.report(progress);
  };
  const signal = AbortSignal.any([ctx.signal, stop.signal, tracked.signal, stalls.signal]);
  const running = work({ ...ctx, signal }, report).finally(() => feed.end());
  running.then(
    () => tracked.ended(),
    (error: unknown) => tracked.ended(error),
  );
  try {
    yield* feed;
    return await running;
  } finally {
    stop.abort();
    await running.catch(() => {});
  }
}
