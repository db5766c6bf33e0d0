import { setTimeout as sleep } from 'node:timers/promises';
import type { Tasks } from '../runtime/tasks.ts';
import type { Metrics } from './metrics/metrics.ts';

/** However often it is asked for: a pass reads much. */
const shortestMs = 100;

/** A reconcile pass now and every `everyMs()`, until `signal` fires; what each found is counted. */
export async function keepReconciled(
  tasks: Tasks,
  metrics: Metrics,
  everyMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    metrics.reconciled(await tasks.reconcile());
    await sleep(Math.max(everyMs(), shortestMs), undefined, { signal, ref: false }).catch(() => {});
  }
}
