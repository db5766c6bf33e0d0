import { setTimeout as sleep } from 'node:timers/promises';
import { abortable } from '../async/abortable.ts';
import type { Context } from '../async/context.ts';
import { isTimeout, lostShim } from './shim-calls.ts';
import type { TaskExit } from './task.ts';
import type { TaskCaller } from './task-caller.ts';
import { exitOf } from './task-wire.ts';

/** A wait is asked again this often, so that a caller who has gone leaves nothing behind in the shim for long. */
const waitSliceMs = 60_000;
/** How often in a row, and after what pause, a wait looks for the successor of a shim. */
const maxLostShims = 50;
const lostShimPauseMs = 100;

/** The exit of a process, whenever that is; outlasts the shim that is asked. @throws not_found, the signal's reason */
export async function waitForExit(
  ctx: Context,
  caller: TaskCaller,
  id: string,
  execId: string,
): Promise<TaskExit> {
  for (let lost = 0; ; ) {
    try {
      return exitOf(await caller.look(id, (task) => task.wait({ id, execId }, ctx, waitSliceMs)));
    } catch (error) {
      ctx.signal.throwIfAborted();
      if (lostShim(error) && caller.gone !== undefined) return abortable(caller.gone, ctx.signal);
      // Ours is being replaced: a wait survives that.
      if (lostShim(error) && ++lost <= maxLostShims)
        await sleep(lostShimPauseMs, undefined, { signal: ctx.signal });
      else if (!isTimeout(error)) throw error;
    }
  }
}
