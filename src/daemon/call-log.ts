import { type ErrorKind, kindOf, messageOf } from '../errors/error.ts';
import type { CallInfo } from '../rpc/grpc-call.ts';

/** Failures that tell of the daemon or of what it runs, not of what it was asked. */
const worthWarning: ReadonlySet<ErrorKind> = new Set(['unknown', 'internal', 'data_loss']);

/** One line for each call, with the id of its request and its method; one that succeeded is told at level trace only. */
export function logCall({ ctx }: CallInfo, failure: unknown, elapsedMs: number): void {
  if (failure === undefined) {
    ctx.log.trace({ namespace: ctx.namespace, elapsedMs: Math.round(elapsedMs * 100) / 100 }, 'call served');
    return;
  }
  const kind = kindOf(failure);
  const fields = {
    namespace: ctx.namespace,
    kind,
    error: messageOf(failure),
    elapsedMs: Math.round(elapsedMs),
  };
  if (worthWarning.has(kind) && !ctx.signal.aborted) ctx.log.warn(fields, 'call failed');
  else ctx.log.debug(fields, 'call failed');
}
