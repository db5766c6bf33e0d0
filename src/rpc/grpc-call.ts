import type { Caller, Context, Log } from '../async/context.ts';
import { leaseHeader, namespaceHeader, parseLease, parseNamespace } from './headers.ts';

/** What the kernel says about the other end of a connection (SO_PEERCRED). */
export interface Peer {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** One call being served: for the hooks of a server, and for its log lines. */
export interface CallInfo {
  /** Grows by one a call, from 1, unique within this server. */
  readonly requestId: number;
  /** Full name, e.g. `containerd.services.version.v1.Version`. */
  readonly service: string;
  /** Name on the wire, e.g. `ListPids`. */
  readonly method: string;
  readonly ctx: Context;
}

/** Names and values in turn, as they came. */
export type RawHeaders = readonly string[];

/** The context of a call. @throws invalid_argument for malformed headers */
export function contextOf(
  headers: RawHeaders,
  signal: AbortSignal,
  log: Log,
  peer: Peer | undefined,
): Context {
  return {
    signal,
    namespace: parseNamespace(header(headers, namespaceHeader)),
    lease: parseLease(header(headers, leaseHeader)),
    log,
    caller: callerOf(peer),
  };
}

const callerOf = (peer: Peer | undefined): Caller =>
  peer === undefined ? { kind: 'grpc' } : { kind: 'grpc', uid: peer.uid, pid: peer.pid };

/** The first of a header's values: containerd's clients put the latest in front of the earlier ones, and BuildKit sends two. */
export function header(headers: RawHeaders, name: string): string | undefined {
  const at = headers.findIndex((word, i) => i % 2 === 0 && word === name);
  return at === -1 ? undefined : headers[at + 1];
}

/** Adds the request's id and method to every line, and its trace where that is given. */
export function requestLog(log: Log, requestId: number, method: string, traceId?: string): Log {
  const own = traceId === undefined ? { requestId, method } : { requestId, method, trace_id: traceId };
  return {
    trace: (fields, message) => log.trace({ ...own, ...fields }, message),
    debug: (fields, message) => log.debug({ ...own, ...fields }, message),
    info: (fields, message) => log.info({ ...own, ...fields }, message),
    warn: (fields, message) => log.warn({ ...own, ...fields }, message),
    error: (fields, message) => log.error({ ...own, ...fields }, message),
  };
}
