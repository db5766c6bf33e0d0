import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, daemonContext, type Log } from '../../async/context.ts';
import { messageOf, unavailable } from '../../errors/error.ts';
import { inDaemonWords, isTimeout, lookMs, lostShim } from '../shim-calls.ts';
import type { TaskExit, TaskState } from '../task.ts';
import type { TaskCaller, TaskClient } from '../task-caller.ts';
import { stateOf } from '../task-wire.ts';
import { type ForeignRecord, writeForeignRecord } from './foreign-record.ts';
import type { ShimEndpoint } from './shim-answer.ts';
import { isDeadShim, linkShim, type ShimLink } from './shim-link.ts';
import { readShimLog } from './shim-log.ts';
import type { ShimTarget } from './shim-program.ts';
import type { ShimTimeouts } from './shim-timeouts.ts';

/** A task that a shim of others runs: the connection to it, and its record in the bundle. */
export class ForeignTask implements TaskCaller, Disposable {
  readonly target: ShimTarget;
  readonly gone: Promise<TaskExit>;
  readonly #timeouts: ShimTimeouts;
  readonly #log: Log;
  readonly #shimLog: Disposable;
  readonly #bury: (task: ForeignTask) => void;
  readonly #buried = Promise.withResolvers<TaskExit>();
  #record: ForeignRecord;
  #link: Promise<ShimLink> | undefined;
  #glance: Promise<TaskState> | undefined;
  #isOver = false;

  /** `bury`: called once when the shim is found dead. */
  constructor(
    target: ShimTarget,
    record: ForeignRecord,
    timeouts: ShimTimeouts,
    log: Log,
    bury: (task: ForeignTask) => void,
  ) {
    this.target = target;
    this.#record = record;
    this.#timeouts = timeouts;
    this.#log = log;
    this.#bury = bury;
    this.gone = this.#buried.promise;
    this.#shimLog = readShimLog(target.bundle, { namespace: target.namespace, id: target.id }, log);
    writeForeignRecord(target.bundle, record);
  }

  get record(): ForeignRecord {
    return this.#record;
  }

  /** Writes down where the shim serves, then connects. @throws unavailable */
  async serveAt(endpoint: ShimEndpoint): Promise<void> {
    this.#write({ ...this.#record, endpoint });
    await this.connected();
  }

  /** The task is made. */
  made(pid: number): void {
    this.#write({ ...this.#record, pid });
  }

  async change<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    const { task } = await this.connected();
    return call(task).catch((error) => {
      throw inDaemonWords(error, id);
    });
  }

  async look<T>(id: string, call: (task: TaskClient) => Promise<T>): Promise<T> {
    try {
      return await this.change(id, call);
    } catch (error) {
      if (!lostShim(error) || this.#isOver) throw error;
    }
    return this.change(id, call);
  }

  /** The state for a list: a shim that hangs costs one list its time (`stateMs`) and others nothing; its task is `unknown`. */
  async glance(ctx: Context): Promise<TaskState> {
    const { id, namespace } = this.target;
    const own = daemonContext(ctx.log, namespace);
    if (this.#glance !== undefined) return this.#unknown();
    this.#glance = this.look(id, async (task) => stateOf(await task.state({ id }, own, lookMs)));
    const forget = () => {
      this.#glance = undefined;
    };
    this.#glance.then(forget, forget);
    const late = sleep(this.#timeouts.stateMs, this.#unknown(), { ref: false });
    return Promise.race([this.#glance, late]).catch(() => this.#unknown());
  }

  async leave(): Promise<void> {
    this.#isOver = true;
    try {
      const link = this.#record.sandboxId === undefined ? await this.#link : undefined;
      const { id, namespace } = this.target;
      await link?.task.shutdown({ id }, daemonContext(this.#log, namespace), this.#timeouts.shutdownMs);
    } catch (error) {
      // Many shims end before they answer.
      if (!lostShim(error)) this.#warn(error, 'shim was not shut down');
    }
    this[Symbol.dispose]();
  }

  /** The shim is dead and what it left has been removed: whoever waits learns the exit. */
  buried(exit: TaskExit): void {
    this[Symbol.dispose]();
    this.#buried.resolve(exit);
  }

  /** Lets go; the shim runs on. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#shimLog[Symbol.dispose]();
    this.#link?.then((link) => link[Symbol.dispose]()).catch(() => {});
  }

  /** The connection, made now where there is none. @throws unavailable */
  connected(): Promise<ShimLink> {
    this.#link ??= this.#connect();
    return this.#link;
  }

  async #connect(): Promise<ShimLink> {
    try {
      const { endpoint } = this.#record;
      if (endpoint === undefined) throw unavailable(`shim of task ${this.target.id} is not there yet`);
      const link = await linkShim(endpoint, this.target, this.#timeouts.loadMs, this.#log);
      void link.closed.then(() => this.#lost());
      return link;
    } catch (error) {
      this.#link = undefined;
      if (isDeadShim(error) && !this.#isOver) this.#die();
      else if (isTimeout(error)) this.#warn(error, 'shim hangs: its task is left alone');
      throw error;
    }
  }

  /** A connection may end without its shim: only one that cannot be reached again is dead. */
  #lost(): void {
    this.#link = undefined;
    if (!this.#isOver) this.connected().catch(() => {});
  }

  #die(): void {
    this.#isOver = true;
    this.#bury(this);
  }

  #write(record: ForeignRecord): void {
    this.#record = record;
    writeForeignRecord(this.target.bundle, record);
  }

  #unknown(): TaskState {
    const streams = { stdin: '', stdout: '', stderr: '', terminal: false };
    const { pid } = this.#record;
    const { id } = this.target;
    return {
      ...streams,
      containerId: id,
      execId: '',
      pid,
      status: 'unknown',
      exitStatus: 0,
      exitedAt: undefined,
    };
  }

  #warn(error: unknown, message: string): void {
    const { namespace, id } = this.target;
    this.#log.warn({ namespace, id, error: messageOf(error) }, message);
  }
}
