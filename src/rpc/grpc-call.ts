import type { Metadata } from '@grpc/grpc-js';
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

/** The part of grpc-js's server calls that all four kinds share. */
export interface ServerCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The context of a call. @throws invalid_argument for malformed headers */
export function contextOf(call: ServerCall, signal: AbortSignal, log: Log, peer: Peer | undefined): Context {
  return {
    signal,
    namespace: parseNamespace(header(call.metadata, namespaceHeader)),
    lease: parseLease(header(call.metadata, leaseHeader)),
    log,
    caller: callerOf(peer),
  };
}

/** Tells a call's work that nobody waits for it any more. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** The work is done: what happens to the call from now on does not fire the signal. */
  release(): void;
}

/** Its signal fires with an AbortError when the client cancels or vanishes, a TimeoutError past the deadline. */
export function interruptOf(call: ServerCall): Interrupt {
  const controller = new AbortController();
  let done = false;
  call.on('cancelled', () => {
    if (done || controller.signal.aborted) return;
    controller.abort(Date.now() >= Number(call.getDeadline()) ? deadlineError() : cancelError());
  });
  const release = () => {
    done = true;
  };
  return { signal: controller.signal, release };
}

const cancelError = () => new DOMException('context canceled', 'AbortError');
const deadlineError = () => new DOMException('context deadline exceeded', 'TimeoutError');

const callerOf = (peer: Peer | undefined): Caller =>
  peer === undefined ? { kind: 'grpc' } : { kind: 'grpc', uid: peer.uid, pid: peer.pid };

function header(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  return typeof value === 'string' ? value : undefined;
}

/** Adds the request's id and method to every line. */
export function requestLog(log: Log, requestId: number, method: string): Log {
  const own = { requestId, method };
  return {
    trace: (fields, message) => log.trace({ ...own, ...fields }, message),
    debug: (fields, message) => log.debug({ ...own, ...fields }, message),
    info: (fields, message) => log.info({ ...own, ...fields }, message),
    warn: (fields, message) => log.warn({ ...own, ...fields }, message),
    error: (fields, message) => log.error({ ...own, ...fields }, message),
  };
}
