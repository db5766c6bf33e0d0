import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../async/context.ts';
import { messageOf, notFound } from '../errors/error.ts';
import { EndSteps } from './end-steps.ts';
import type { FdStore, FoundFds } from './fd-store.ts';
import { KeptFds } from './kept-fds.ts';
import type { LogWriter } from './log-writer.ts';
import { openProcessStdio, stdioPrefix } from './make-process.ts';
import { OciRuntime } from './oci-runtime.ts';
import { OomWatch } from './oom-watch.ts';
import { type ProcessExit, unknownExitStatus, type WatchedProcess } from './reaper.ts';
import { type ProcessStdio, type StdioPaths, within } from './stdio.ts';
import type { TaskEvents } from './task-events.ts';
import { TaskProcess } from './task-process.ts';
import { type TaskRequest, type Telling, writeRecord } from './task-record.ts';
import { sharesPidNamespace, unmountRootfs } from './task-rootfs.ts';

/** What a task needs of the shim around it. */
export interface TaskSurroundings {
  readonly events: TaskEvents;
  readonly log: Log;
  readonly logs: LogWriter;
  /** Keeps what must outlive the shim. */
  readonly fds: FdStore;
  /** A fresh path for a console socket, short enough for a socket address. */
  consoleSocketPath(): string;
}

/** A process beside the first one; `spec` is its process specification, JSON. */
interface Exec {
  readonly process: TaskProcess;
  readonly spec: Uint8Array;
}

export const SIGKILL = 9;
/** How long the first process's exit waits for those of its execs, which the kernel kills with it. */
const execExitMs = 2_000;

/**
 * A container's running side: its first process and execs, written down, followed to their end, their exits told.
 *
 *   creating ─ create ▶ created ─ start ▶ running ⇄ paused; any of them ─ exit ▶ stopped ─ delete
 *
 * An exit is published after its start, and the first process's exit after those of its execs. What changes a task is
 * beside this: make-task, control-task, task-execs, delete-task, adopt-task.
 */
export class Task {
  readonly request: TaskRequest;
  readonly around: TaskSurroundings;
  readonly runtime: OciRuntime;
  readonly init: TaskProcess;
  /** The runtime is at something. */
  changing = false;
  #telling: Telling | undefined;
  readonly kept: KeptFds;
  readonly ends: EndSteps;
  #oom: OomWatch | undefined;
  readonly #execs = new Map<string, Exec>();

  constructor(request: TaskRequest, around: TaskSurroundings) {
    this.request = request;
    this.around = around;
    this.runtime = new OciRuntime(request.runtime, join(request.bundle, 'log.json'));
    this.init = new TaskProcess('', pathsOf(request));
    this.ends = new EndSteps(this.init, () => this.#detach());
    this.kept = new KeptFds(around.fds, `${request.namespace}/${request.id}`);
  }

  /** The first process for '', else an exec. @throws not_found */
  process(execId: string): TaskProcess {
    return execId === '' ? this.init : this.exec(execId).process;
  }

  /** @throws not_found */
  exec(execId: string): Exec {
    const exec = this.#execs.get(execId);
    if (exec === undefined) throw notFound(`process does not exist ${execId}`);
    return exec;
  }

  /** The first one and all execs. */
  get processes(): TaskProcess[] {
    return [this.init, ...this.execs];
  }

  get execs(): TaskProcess[] {
    return [...this.#execs.values()].map(({ process }) => process);
  }

  hasExec(execId: string): boolean {
    return this.#execs.has(execId);
  }

  addExec(execId: string, paths: StdioPaths, spec: Uint8Array): TaskProcess {
    const process = new TaskProcess(execId, pathsOf(paths));
    this.#execs.set(execId, { process, spec });
    return process;
  }

  removeExec(execId: string): void {
    this.#execs.delete(execId);
  }

  /** `found`: what an earlier shim kept of its streams. */
  openStdio(process: TaskProcess, found: FoundFds = new Map(), paths = process.paths): ProcessStdio {
    const { namespace, id, bundle, options } = this.request;
    const { execId } = process;
    const { ioUid, ioGid } = options;
    return openProcessStdio(process, paths, {
      ...{ namespace, id, execId, ioUid, ioGid, found, logs: this.around.logs },
      prefix: stdioPrefix(bundle, execId),
      consoleSocketPath: () => this.around.consoleSocketPath(),
      changed: () => queueMicrotask(() => this.kept.update(process)),
    });
  }

  /** The store of descriptors has lost everything. */
  keepAgain(): void {
    for (const process of this.processes) this.kept.update(process, true);
  }

  /** Lets go of all that belongs to a process. */
  close(process: TaskProcess): void {
    process.close();
    this.kept.update(process);
  }

  /** The runtime has made it: it is written down and followed. */
  made(process: TaskProcess, watched: WatchedProcess): void {
    process.setWatched(watched);
    process.status = 'created';
    this.save();
    this.kept.update(process);
    this.follow(process, watched);
  }

  /** Also before there is a stdin. @throws not_found */
  closeStdin(execId: string): void {
    this.process(execId).closeStdin();
    this.save();
  }

  /** Tells the exit of a process when it comes. */
  follow(process: TaskProcess, watched: WatchedProcess): void {
    if (process === this.init) setImmediate(() => this.#watchOom());
    void this.#untilExit(process, watched);
  }

  exited(process: TaskProcess, exit: ProcessExit): void {
    process.finish(exit);
    this.tell('exited', process);
    this.kept.update(process);
  }

  /** Publishes what has become of a process; written down first, so that a kill in between loses no event. */
  tell(what: Telling['what'], process: TaskProcess): void {
    this.#telling = { number: this.around.events.lastNumber + 1, what, execId: process.execId };
    this.changing = false;
    try {
      this.save();
    } catch (error) {
      this.around.log.error({ id: this.request.id, error: messageOf(error) }, 'task cannot be written down');
    }
    this.around.events[what](this, process);
  }

  /** What is about to be asked of the runtime, is written down before. */
  beforeChange(): void {
    this.changing = true;
    this.save();
  }

  /** Writes everything down for the next shim. */
  save(): void {
    if (!existsSync(this.request.bundle)) return;
    const processes = this.processes.map((process) => process.record());
    const { changing } = this;
    writeRecord({ ...this.request, format: 1, processes, telling: this.#telling, changing });
  }

  /** The last means against a process that does not end: its task ends without it, how nobody knows. */
  async #detach(): Promise<void> {
    await unmountRootfs(this.request);
    await this.init.exclusive(async () => {
      if (this.init.status !== 'stopped')
        this.exited(this.init, { status: unknownExitStatus, at: new Date() });
    });
  }

  #watchOom(): void {
    try {
      if (this.init.exit === undefined)
        this.#oom = new OomWatch(this.init.pid, () => this.around.events.oom(this));
    } catch (error) {
      this.around.log.debug({ id: this.request.id, error: messageOf(error) }, 'no notice of want of memory');
    }
  }

  async #untilExit(process: TaskProcess, watched: WatchedProcess): Promise<void> {
    const exit = await process.drained(watched);
    if (process === this.init) await this.#execsEnded();
    this.#oom?.check();
    if (process === this.init) this.#oom?.[Symbol.dispose]();
    await process.exclusive(async () => {
      if (process.exit === undefined) this.exited(process, exit);
    });
  }

  /** Without a pid namespace of its own the container's other processes outlive the first one: they are killed. */
  async #execsEnded(): Promise<void> {
    if (sharesPidNamespace(this.request.bundle))
      await this.runtime.kill(this.request.id, SIGKILL, true).catch(() => {});
    const running = this.execs.filter((exec) => exec.status === 'running');
    const never = new AbortController().signal;
    await within(execExitMs, Promise.all(running.map((exec) => exec.wait(never))));
  }
}

const pathsOf = ({ stdin, stdout, stderr, terminal }: StdioPaths): StdioPaths => ({
  stdin,
  stdout,
  stderr,
  terminal,
});
