import { unavailable } from '../errors/error.ts';
import { abortable } from './abortable.ts';

/** A signal of one's own that also fires when any of its sources does. Disposal lets go of the sources. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
}

/**
 * Links signals: `using linked = linkSignals(ctx.signal)`. Unlike AbortSignal.any it leaves nothing hanging on a source
 * that lives long.
 */
export function linkSignals(...sources: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const unlinks = sources.map((source) => {
    const onAbort = () => controller.abort(source.reason);
    if (source.aborted) onAbort();
    source.addEventListener('abort', onAbort, { once: true });
    return () => source.removeEventListener('abort', onAbort);
  });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const unlink of unlinks) unlink();
    },
  };
}

/**
 * Runs `work` for at most `timeoutMs`, and no longer than `signal` allows. `work` gets a signal that fires at either;
 * should it not listen, it is left behind all the same.
 * @param what names the work in the error: `what took longer than 10000 ms`
 * @throws unavailable (out of time), the signal's reason, what `work` throws
 */
export async function withDeadline<T>(
  signal: AbortSignal,
  timeoutMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  using linked = linkSignals(signal);
  const timer = setTimeout(
    () => linked.abort(unavailable(`${what} took longer than ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await abortable(work(linked.signal), linked.signal);
  } finally {
    clearTimeout(timer);
  }
}
