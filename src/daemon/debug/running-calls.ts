import type { CallInfo } from '../../rpc/grpc-call.ts';

/** A call under way. */
export interface RunningCall {
  readonly info: CallInfo;
  /** On performance.now()'s clock. */
  readonly startedMs: number;
}

/** The gRPC calls under way: what a daemon is busy with. */
export class RunningCalls {
  readonly #calls = new Map<CallInfo, RunningCall>();

  began(info: CallInfo): void {
    this.#calls.set(info, { info, startedMs: performance.now() });
  }

  ended(info: CallInfo): void {
    this.#calls.delete(info);
  }

  /** Longest first. */
  list(): RunningCall[] {
    return [...this.#calls.values()];
  }
}
