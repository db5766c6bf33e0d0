import { failedPrecondition } from '../errors/error.ts';
import type { Span } from './span.ts';

/** What every room may log with; pino satisfies it. Never pass secrets. */
export interface Log {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Who is calling, as the kernel says (SO_PEERCRED) where that is known. */
export interface Caller {
  readonly kind: 'daemon' | 'grpc' | 'ttrpc' | 'test';
  readonly uid?: number;
  readonly pid?: number;
}

/**
 * First parameter of everything that acts on behalf of a caller. Nothing long-lived stores one.
 * `namespace` is '' when the caller named none; use {@link namespaceOf} where one is needed.
 */
export interface Context {
  readonly signal: AbortSignal;
  readonly namespace: string;
  /** Lease (id) that new resources are added to, from the `containerd-lease` header. */
  readonly lease?: string | undefined;
  readonly log: Log;
  readonly caller: Caller;
  /** The piece of a trace that this is part of, where traces are sent. */
  readonly span?: Span | undefined;
}

/** The caller's namespace. @throws failed_precondition "namespace is required" (containerd's words). */
export function namespaceOf(ctx: Context): string {
  if (ctx.namespace === '') throw failedPrecondition('namespace is required');
  return ctx.namespace;
}

const silent = () => {};
export const silentLog: Log = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

/** A context for the daemon's own work: no caller, never cancelled unless `signal` is given. */
export function daemonContext(
  log: Log,
  namespace = '',
  signal: AbortSignal = new AbortController().signal,
): Context {
  return { signal, namespace, log, caller: { kind: 'daemon' } };
}
