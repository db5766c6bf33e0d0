import type { Context } from '../async/context.ts';
import { undo } from './lease.ts';

/** Who can stop a container for a moment. */
export interface Pausing {
  find(ctx: Context, containerId: string): Promise<{ readonly status: string } | undefined>;
  pause(ctx: Context, containerId: string): Promise<unknown>;
  resume(ctx: Context, containerId: string): Promise<unknown>;
}

/** A container that runs is paused meanwhile, and goes on whatever happens. */
export async function whilePaused<T>(
  tasks: Pausing,
  ctx: Context,
  { containerId, pause = true }: { readonly containerId: string; readonly pause?: boolean },
  work: () => Promise<T>,
): Promise<T> {
  if (!pause || (await tasks.find(ctx, containerId))?.status !== 'running') return await work();
  await tasks.pause(ctx, containerId);
  try {
    return await work();
  } finally {
    await undo(ctx, 'resume a paused container', (late) => tasks.resume(late, containerId));
  }
}
