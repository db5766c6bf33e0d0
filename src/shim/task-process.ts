import { abortable } from '../async/abortable.ts';
import { failedPrecondition, invalidArgument, notFound } from '../errors/error.ts';
import { isAlive } from '../sys/process.ts';
import type { WindowSize } from '../sys/tty.ts';
import type { HeldFds } from './fd-store.ts';
import type { ProcessExit, WatchedProcess } from './reaper.ts';
import type { ProcessStdio, StdioPaths } from './stdio.ts';
import type { ProcessRecord, ProcessStatus } from './task-record.ts';

const maxSignal = 64;

/** One process of a task, from its request until it is deleted: its state, streams, waiters. */
export class TaskProcess {
  /** '' for the container's first process. */
  readonly execId: string;
  readonly paths: StdioPaths;
  status: ProcessStatus = 'creating';
  #stdio: ProcessStdio | undefined;
  #watched: WatchedProcess | undefined;
  #pid = 0;
  #startTicks = 0n;
  #exit: ProcessExit | undefined;
  #stdinClosed = false;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #exited = Promise.withResolvers<ProcessExit>();

  constructor(execId: string, paths: StdioPaths) {
    this.execId = execId;
    this.paths = paths;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Set once the exit has been published. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** Runs one change at a time: a start and the exit it leads to keep their order. */
  exclusive<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => {});
    return result;
  }

  setStdio(stdio: ProcessStdio): void {
    this.#stdio = stdio;
    if (this.#stdinClosed) stdio.closeStdin();
  }

  /** What must stay open when the shim dies: a handle on the process until its exit is known, and its streams. */
  held(): HeldFds {
    const pidfd = this.#watched?.pidfd;
    return { ...(pidfd === undefined ? {} : { pidfd }), ...this.#stdio?.held() };
  }

  /** The runtime has made it. */
  setWatched(watched: WatchedProcess): void {
    this.#watched = watched;
    this.#pid = watched.pid;
    this.#startTicks = watched.startTicks;
  }

  /** Whether it is still there although it was told as ended: nothing ended it. */
  get lingers(): boolean {
    return this.status === 'stopped' && this.#pid !== 0 && isAlive(this.#pid, this.#startTicks);
  }

  /** Settles when it is over, drained or not; at once where it was never made. */
  get ended(): Promise<unknown> {
    return this.#watched?.exited ?? Promise.resolve();
  }

  /** Settles with the exit, once known and its output drained; before that nobody is told. */
  async drained(watched: WatchedProcess): Promise<ProcessExit> {
    const exit = await watched.exited;
    await this.drain();
    return exit;
  }

  /** It has ended: settles once what it wrote is where it belongs, or after a few seconds. */
  async drain(): Promise<void> {
    await this.#stdio?.ended();
  }

  /** Stopped for everybody: waiters get their answer. */
  finish(exit: ProcessExit): void {
    this.status = 'stopped';
    this.#exit = exit;
    this.#watched?.[Symbol.dispose]();
    this.#watched = undefined;
    this.#exited.resolve(exit);
  }

  /** The exit, however long that takes. @throws the signal's reason */
  async wait(signal: AbortSignal): Promise<ProcessExit> {
    return this.#exit ?? abortable(this.#exited.promise, signal);
  }

  /** @throws invalid_argument (no such signal), failed_precondition (not made yet), not_found (has ended) */
  signal(signal: number): void {
    checkSignal(signal);
    if (this.status === 'stopped') throw alreadyFinished();
    if (this.#watched === undefined) throw failedPrecondition('process not created');
    if (!this.#watched.signal(signal)) throw alreadyFinished();
  }

  /** @throws failed_precondition (no terminal yet) */
  resize(size: WindowSize): void {
    this.#stdio?.resize(size);
  }

  /** @throws not_found (no log), invalid_argument (it cannot be opened) */
  async reopenLog(): Promise<void> {
    if (this.#stdio === undefined) throw notFound('log of the process');
    await this.#stdio.reopenLog();
  }

  /** Also before there is a stdin: then it is closed as soon as it is opened. */
  closeStdin(): void {
    this.#stdinClosed = true;
    this.#stdio?.closeStdin();
  }

  /** Lets go of streams and process handle. Idempotent. */
  close(): void {
    this.#stdio?.close();
    this.#watched?.[Symbol.dispose]();
    this.#watched = undefined;
  }

  /** As it was written down. @returns its exit, if that was known */
  restore(record: ProcessRecord): ProcessExit | undefined {
    this.status = record.status;
    this.#pid = record.pid;
    this.#startTicks = BigInt(record.startTicks);
    this.#stdinClosed = record.stdinClosed;
    if (record.exitStatus === undefined) return undefined;
    this.finish({ status: record.exitStatus, at: new Date(record.exitedAtMs ?? 0) });
    return this.#exit;
  }

  record(): ProcessRecord {
    const exit = this.#exit;
    return {
      ...this.paths,
      execId: this.execId,
      status: this.status,
      pid: this.#pid,
      startTicks: String(this.#startTicks),
      stdinClosed: this.#stdinClosed,
      ...(exit === undefined ? {} : { exitStatus: exit.status, exitedAtMs: exit.at.getTime() }),
    };
  }
}

/** containerd's words for a signal that comes too late. */
export const alreadyFinished = () => notFound('process already finished');

/** @throws invalid_argument (no such signal) */
export function checkSignal(signal: number): void {
  if (signal > maxSignal) throw invalidArgument(`signal ${signal} does not exist`);
}
