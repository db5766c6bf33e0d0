import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../async/context.ts';
import { alreadyExists, failedPrecondition, messageOf, notFound } from '../errors/error.ts';
import { undoCreate } from './half-made.ts';
import { checkIdentifier } from './identifier.ts';
import { refuseMagicExec } from './led-astray.ts';
import { findMade, makeExec, makeInit, openProcessStdio, removeExecFiles } from './make-process.ts';
import { OciRuntime } from './oci-runtime.ts';
import { type ProcessExit, unknownExitStatus, type WatchedProcess } from './reaper.ts';
import { type ProcessStdio, type StdioPaths, within } from './stdio.ts';
import type { TaskEvents } from './task-events.ts';
import { alreadyFinished, checkSignal, TaskProcess } from './task-process.ts';
import {
  type ProcessRecord,
  removeRecord,
  type TaskRecord,
  type TaskRequest,
  writeRecord,
} from './task-record.ts';
import { mountRootfs, refuseLedAstray, sharesPidNamespace, unmountRootfs } from './task-rootfs.ts';

/** What a task needs of the shim around it. */
export interface TaskSurroundings {
  readonly events: TaskEvents;
  readonly log: Log;
  /** A fresh path for a console socket, short enough for a socket address. */
  consoleSocketPath(): string;
}

const SIGKILL = 9;
/** How long the first process's exit waits for those of its execs, which the kernel kills with it. */
const execExitMs = 2_000;
/** How long a killed process may take to end before delete gives up. */
const killedExitMs = 10_000;

/**
 * A container's running side: its first process and execs.
 *
 *   creating ─ create ▶ created ─ start ▶ running ⇄ paused; any of them ─ exit ▶ stopped ─ delete
 *
 * An exit is published after its start, and the first process's exit after those of its execs.
 */
export class Task {
  readonly request: TaskRequest;
  readonly init: TaskProcess;
  readonly #execs = new Map<string, { process: TaskProcess; spec: Uint8Array }>();
  readonly #around: TaskSurroundings;
  readonly #runtime: OciRuntime;

  constructor(request: TaskRequest, around: TaskSurroundings) {
    this.request = request;
    this.#around = around;
    this.#runtime = new OciRuntime(request.runtime, join(request.bundle, 'log.json'));
    this.init = new TaskProcess('', pathsOf(request));
  }

  /**
   * Takes over what an earlier shim wrote down: processes that still run are followed again, by pid and start time;
   * the exit of one that is gone is published as unknown, never invented. Terminals died with their shim.
   */
  static adopt(record: TaskRecord, around: TaskSurroundings): Task {
    const { processes, format: _, ...request } = record;
    const task = new Task(request, around);
    for (const process of processes) {
      if (process.execId === '') task.#adoptProcess(task.init, process);
      else if (process.pid !== 0) task.#adoptExec(process);
    }
    return task;
  }

  /** Mounts the root, opens the streams and has the runtime make the container. All or nothing. */
  create(): Promise<void> {
    return this.init.exclusive(async () => {
      await using undo = new AsyncDisposableStack();
      undo.defer(() => removeRecord(this.request.bundle));
      this.#save();
      undo.defer(() => unmountRootfs(this.request));
      await mountRootfs(this.request);
      refuseLedAstray(this.request.bundle);
      const stdio = this.#openStdio(this.init);
      undo.defer(() => stdio.close());
      undo.defer(() => undoCreate(this.#runtime, this.request.id, this.request.bundle));
      const watched = await makeInit(this.#runtime, this.request, stdio);
      undo.defer(() => watched[Symbol.dispose]());
      await stdio.started();
      undo.move();
      this.#made(this.init, watched);
      this.#around.events.created(this);
    });
  }

  /** @throws failed_precondition (not in state created), unknown (the runtime's words) */
  start(): Promise<void> {
    const { init } = this;
    return init.exclusive(async () => {
      if (init.status !== 'created') throw failedPrecondition(`cannot start a ${init.status} process`);
      await this.#runtime.start(this.request.id);
      init.status = 'running';
      this.#save();
      this.#around.events.started(this);
    });
  }

  /** Registers another process; it starts later. @throws already_exists, failed_precondition (paused, stopped) */
  addExec(execId: string, paths: StdioPaths, spec: Uint8Array): void {
    checkIdentifier('exec id', execId);
    if (this.#execs.has(execId)) throw alreadyExists(`id ${execId}`);
    const { status } = this.init;
    if (status === 'paused' || status === 'stopped')
      throw failedPrecondition(`cannot exec in a ${status} state`);
    refuseMagicExec(spec);
    const process = new TaskProcess(execId, paths);
    process.status = 'created';
    this.#execs.set(execId, { process, spec });
    this.#around.events.execAdded(this, execId);
  }

  startExec(execId: string): Promise<void> {
    const { process, spec } = this.#exec(execId);
    return process.exclusive(async () => {
      if (process.status !== 'created' || process.pid !== 0)
        throw failedPrecondition(`cannot start a ${process.status} process`);
      try {
        await this.#runExec(process, spec);
      } catch (error) {
        process.close();
        process.finish({ status: unknownExitStatus, at: new Date() });
        throw error;
      }
    });
  }

  /** The first process for '', else an exec. @throws not_found */
  process(execId: string): TaskProcess {
    return execId === '' ? this.init : this.#exec(execId).process;
  }

  get execs(): TaskProcess[] {
    return [...this.#execs.values()].map(({ process }) => process);
  }

  /** @throws invalid_argument, not_found (has ended) */
  async kill(execId: string, signal: number, all: boolean): Promise<void> {
    checkSignal(signal);
    const process = this.process(execId);
    if (!all && this.init.status !== 'paused') return process.signal(signal);
    if (this.init.status === 'stopped') throw alreadyFinished();
    await this.#runtime.kill(this.request.id, signal, all);
    // A frozen process dies only once it runs again; runc sees to that, crun does not.
    if (signal === SIGKILL && this.init.status === 'paused')
      await this.#runtime.resume(this.request.id).catch(() => {});
  }

  /** @throws failed_precondition (still running) */
  async deleteExec(execId: string): Promise<TaskProcess> {
    const { process } = this.#exec(execId);
    await process.exclusive(async () => {
      if (process.status === 'running') throw failedPrecondition('cannot delete a running process');
      process.close();
      this.#execs.delete(execId);
      removeExecFiles(this.request.bundle, execId);
    });
    return process;
  }

  /** Removes a stopped task, or one that was never started, from runtime, mounts and disk. @throws failed_precondition */
  async delete(): Promise<ProcessExit> {
    const { init } = this;
    if (init.status === 'running' || init.status === 'paused' || init.status === 'creating')
      throw failedPrecondition(`cannot delete a ${init.status} process`);
    const wasCreated = init.status === 'created';
    await this.#deleteFromRuntime();
    if (wasCreated) await init.wait(AbortSignal.timeout(killedExitMs));
    for (const process of [init, ...this.execs]) process.close();
    await unmountRootfs(this.request);
    removeRecord(this.request.bundle);
    const exit = init.exit ?? { status: unknownExitStatus, at: new Date() };
    this.#around.events.deleted(this, exit);
    return exit;
  }

  async pause(): Promise<void> {
    await this.init.exclusive(async () => {
      if (this.init.status !== 'running')
        throw failedPrecondition(`cannot pause a ${this.init.status} container`);
      await this.#runtime.pause(this.request.id);
      this.init.status = 'paused';
      this.#save();
      this.#around.events.paused(this);
    });
  }

  async resume(): Promise<void> {
    await this.init.exclusive(async () => {
      if (this.init.status !== 'paused')
        throw failedPrecondition(`cannot resume a ${this.init.status} container`);
      await this.#runtime.resume(this.request.id);
      this.init.status = 'running';
      this.#save();
      this.#around.events.resumed(this);
    });
  }

  /** `resources`: JSON of the runtime specification's LinuxResources. */
  update(resources: string): Promise<void> {
    return this.init.exclusive(async () => {
      if (this.init.status === 'stopped') throw alreadyFinished();
      const file = join(this.request.bundle, 'resources.json');
      writeFileSync(file, resources, { mode: 0o600 });
      await this.#runtime.update(this.request.id, file);
    });
  }

  pids(): Promise<number[]> {
    if (this.init.status === 'stopped') throw failedPrecondition('container is stopped');
    return this.#runtime.pids(this.request.id);
  }

  closeStdin(execId: string): void {
    this.process(execId).closeStdin();
    this.#save();
  }

  #adoptExec(record: ProcessRecord): void {
    const process = new TaskProcess(record.execId, pathsOf(record));
    this.#execs.set(record.execId, { process, spec: new Uint8Array() });
    this.#adoptProcess(process, record);
  }

  #adoptProcess(process: TaskProcess, record: ProcessRecord): void {
    const exit = process.restore(record);
    if (exit !== undefined) return;
    const watched = findMade(record);
    if (watched === undefined) {
      this.#exited(process, { status: unknownExitStatus, at: new Date() });
      return;
    }
    process.setWatched(watched);
    if (!process.paths.terminal) this.#reopenStdio(process);
    void this.#follow(process, watched);
  }

  #reopenStdio(process: TaskProcess): void {
    try {
      void this.#openStdio(process).started();
    } catch (error) {
      this.#around.log.warn(
        { id: this.request.id, error: messageOf(error) },
        'streams cannot be opened again',
      );
    }
  }

  #exec(execId: string): { process: TaskProcess; spec: Uint8Array } {
    const exec = this.#execs.get(execId);
    if (exec === undefined) throw notFound(`process does not exist ${execId}`);
    return exec;
  }

  #openStdio(process: TaskProcess): ProcessStdio {
    return openProcessStdio(process, this.request.bundle, () => this.#around.consoleSocketPath());
  }

  async #runExec(process: TaskProcess, spec: Uint8Array): Promise<void> {
    await using undo = new AsyncDisposableStack();
    const stdio = this.#openStdio(process);
    const watched = await makeExec(this.request, process.execId, spec, stdio);
    undo.defer(() => {
      watched.signal(SIGKILL);
      watched[Symbol.dispose]();
    });
    await stdio.started();
    undo.move();
    this.#made(process, watched);
    process.status = 'running';
    this.#save();
    this.#around.events.execStarted(this, process);
  }

  #made(process: TaskProcess, watched: WatchedProcess): void {
    process.setWatched(watched);
    process.status = 'created';
    this.#save();
    void this.#follow(process, watched);
  }

  /** Tells the exit of a process when it comes. */
  async #follow(process: TaskProcess, watched: WatchedProcess): Promise<void> {
    const exit = await process.drained(watched);
    if (process === this.init) await this.#execsEnded();
    await process.exclusive(async () => this.#exited(process, exit));
  }

  #exited(process: TaskProcess, exit: ProcessExit): void {
    process.finish(exit);
    this.#save();
    this.#around.events.exited(this, process, exit);
  }

  /** Without a pid namespace of its own the container's other processes outlive the first one: they are killed. */
  async #execsEnded(): Promise<void> {
    if (sharesPidNamespace(this.request.bundle))
      await this.#runtime.kill(this.request.id, SIGKILL, true).catch(() => {});
    const running = this.execs.filter((exec) => exec.status === 'running');
    const never = new AbortController().signal;
    await within(execExitMs, Promise.all(running.map((exec) => exec.wait(never))));
  }

  async #deleteFromRuntime(): Promise<void> {
    try {
      await this.#runtime.delete(this.request.id);
    } catch (error) {
      if (!/does not exist/.test(messageOf(error))) throw error;
    }
  }

  #save(): void {
    if (!existsSync(this.request.bundle)) return;
    const processes = [this.init, ...this.execs].map((process) => process.record());
    writeRecord({ ...this.request, format: 1, processes });
  }
}

const pathsOf = ({ stdin, stdout, stderr, terminal }: StdioPaths): StdioPaths => ({
  stdin,
  stdout,
  stderr,
  terminal,
});
