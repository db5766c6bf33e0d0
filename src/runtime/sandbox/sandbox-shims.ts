import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, daemonContext, type Log, namespaceOf } from '../../async/context.ts';
import { KeyedLock } from '../../async/keyed-lock.ts';
import { never } from '../../async/never.ts';
import { isKind, messageOf, notFound, notImplemented, unknown, wrap } from '../../errors/error.ts';
import { announce } from '../../events/announce.ts';
import type { Events } from '../../events/events.ts';
import { makeEvent, timestampOf } from '../../events/topics.ts';
import { Bundles, sandboxBundlesDir } from '../bundle.ts';
import { endProcessesIn } from '../foreign/bundle-processes.ts';
import { type ForeignRecord, readForeignRecord } from '../foreign/foreign-record.ts';
import { type DaemonEnds, ShimProgram, type ShimTarget } from '../foreign/shim-program.ts';
import { isTimeout, lostShim, uncancelled } from '../shim-calls.ts';
import type { TaskExit } from '../task.ts';
import { exitOf } from '../task-wire.ts';
import type { SandboxToCreate } from './controller.ts';
import { SandboxShim } from './sandbox-shim.ts';

/** What sandboxes of shims stand on. */
export interface SandboxesOptions {
  readonly stateDir: string;
  readonly daemon: DaemonEnds;
  /** The shim's program of a runtime; undefined for berth-shim, which has no sandbox API. @throws as shimProgramOf */
  readonly programOf: (runtimeName: string) => string | undefined;
  readonly events: Events;
  readonly log: Log;
}

const shutdownMs = 5_000;
const waitSliceMs = 60_000;
/** Status of a sandbox whose shim died. */
const unknownExit = 255;

/**
 * The shims of all sandboxes, each from its start to its end, expected or not. What an earlier daemon left is found again
 * in the bundles.
 */
export class SandboxShims implements Disposable {
  /** Settles when what an earlier daemon left is in the table. */
  readonly loaded: Promise<void>;
  readonly #options: SandboxesOptions;
  readonly #bundles: Bundles;
  readonly #shims = new Map<string, SandboxShim>();
  readonly #locks = new KeyedLock();

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.#bundles = new Bundles(options.stateDir, sandboxBundlesDir);
    this.loaded = this.#load();
  }

  /** To be held while a sandbox is made or ended. */
  lock(ctx: Context, id: string): Promise<Disposable> {
    return this.#locks.acquire(`${namespaceOf(ctx)}/${id}`, ctx.signal);
  }

  find(ctx: Context, id: string): SandboxShim | undefined {
    return this.#shims.get(keyOf({ namespace: namespaceOf(ctx), id }));
  }

  /** @throws not_found */
  get(ctx: Context, id: string): SandboxShim {
    const found = this.find(ctx, id);
    if (found === undefined) throw notFound('not found');
    return found;
  }

  /**
   * Makes the sandbox's bundle and starts its shim. All or nothing. The caller holds the sandbox's lock.
   * @throws invalid_argument (id), unknown, not_implemented (berth-shim, which has no sandbox API)
   */
  async start(namespace: string, { sandbox }: SandboxToCreate): Promise<SandboxShim> {
    const { id, runtime, spec } = sandbox;
    const bundle = await this.#makeBundle(namespace, id, spec?.value);
    try {
      return await this.#startIn({ namespace, id, bundle }, runtime.name, runtime.options);
    } catch (error) {
      await this.#bundles.remove(namespace, id);
      throw error;
    }
  }

  /** Has the shim end, or ends it where it does not, and removes the sandbox's bundle. */
  async end(ctx: Context, shim: SandboxShim): Promise<void> {
    const { namespace, id, bundle } = shim.target;
    this.#forget(shim);
    try {
      const { closed } = await shim.connected();
      await shim.call((to) => to.shutdownSandbox({ sandboxId: id }, uncancelled(ctx), shutdownMs));
      await Promise.race([closed, sleep(shutdownMs, undefined, { ref: false })]);
    } catch (error) {
      // Many shims end before they answer.
      if (!lostShim(error))
        ctx.log.warn({ id, error: messageOf(error) }, 'shim of a sandbox was not shut down');
    }
    shim[Symbol.dispose]();
    await endProcessesIn(bundle);
    await this.#bundles.remove(namespace, id);
  }

  /** The sandbox's exit, when it comes. @throws the signal's reason, what the shim says */
  async waitFor(ctx: Context, shim: SandboxShim): Promise<TaskExit> {
    const sandboxId = shim.target.id;
    for (;;) {
      try {
        return exitOf(await shim.call((to) => to.waitSandbox({ sandboxId }, ctx, waitSliceMs)));
      } catch (error) {
        ctx.signal.throwIfAborted();
        if (!isTimeout(error)) throw wrap(error, `failed to wait sandbox ${sandboxId}`);
      }
    }
  }

  /** Tells the sandbox's exit, once, whoever else waits for it. Never throws. */
  async tellExit(shim: SandboxShim): Promise<void> {
    const { namespace } = shim.target;
    const ctx = daemonContext(this.#options.log, namespace);
    try {
      this.#told(shim, await this.waitFor(ctx, shim));
    } catch (error) {
      // One that died is told when it is buried.
      this.#options.log.debug(
        { id: shim.target.id, error: messageOf(error) },
        'exit of a sandbox is not known',
      );
    }
  }

  #told(shim: SandboxShim, { exitStatus, exitedAt }: TaskExit): void {
    const { namespace, id } = shim.target;
    if (shim.record.pid === 0 || shim.record.isExitTold === true) return;
    if (this.#shims.get(keyOf(shim.target)) === shim) shim.note({ isExitTold: true });
    const exit = { sandboxId: id, exitStatus, exitedAt: timestampOf(exitedAt) };
    const { events, log } = this.#options;
    announce(events, daemonContext(log, namespace), makeEvent('sandboxExit', exit));
  }

  /** Lets go of all shims; they run on. */
  [Symbol.dispose](): void {
    for (const shim of this.#shims.values()) shim[Symbol.dispose]();
  }

  async #makeBundle(namespace: string, id: string, spec: Uint8Array | undefined): Promise<string> {
    try {
      // What a daemon left that was killed before it had a shim.
      await this.#bundles.remove(namespace, id);
      return await this.#bundles.create(namespace, id, spec);
    } catch (error) {
      if (isKind(error, 'invalid_argument')) throw wrap(error, `invalid task id ${id}`);
      throw error;
    }
  }

  async #startIn(
    target: ShimTarget,
    runtimeName: string,
    options: SandboxToCreate['options'],
  ): Promise<SandboxShim> {
    const { id } = target;
    const file = this.#programOf(id, runtimeName);
    const record = { format: 1, program: file, pid: 0 } as const;
    const shim = this.#shimOf(target, record);
    this.#shims.set(keyOf(target), shim);
    try {
      await shim.serveAt(await new ShimProgram(file, this.#options.daemon).start(target, options));
      return shim;
    } catch (error) {
      this.#forget(shim);
      await endProcessesIn(target.bundle);
      throw wrap(error, `failed to start new shim for sandbox ${id}`);
    }
  }

  #programOf(id: string, runtimeName: string): string {
    const context = `failed to start new shim for sandbox ${id}: failed to resolve runtime path`;
    if (runtimeName === '') throw unknown(`${context}: no runtime name`);
    try {
      const file = this.#options.programOf(runtimeName);
      if (file !== undefined) return file;
    } catch (error) {
      const missing =
        isKind(error, 'not_found') && !runtimeName.startsWith('/') ? ': file does not exist' : '';
      throw unknown(`${context}: ${messageOf(error)}${missing}`, error);
    }
    throw notImplemented(`failed to create sandbox ${id}: service containerd.runtime.sandbox.v1.Sandbox`);
  }

  #forget(shim: SandboxShim): void {
    if (this.#shims.get(keyOf(shim.target)) === shim) this.#shims.delete(keyOf(shim.target));
  }

  async #load(): Promise<void> {
    for await (const { namespace, id } of this.#bundles.all()) {
      try {
        await this.#adopt({ namespace, id, bundle: this.#bundles.path(namespace, id) });
      } catch (error) {
        this.#options.log.error({ namespace, id, error: messageOf(error) }, 'sandbox cannot be adopted');
      }
    }
  }

  async #adopt(target: ShimTarget): Promise<void> {
    const record = readForeignRecord(target.bundle);
    if (record?.endpoint === undefined) {
      await endProcessesIn(target.bundle);
      return this.#bundles.remove(target.namespace, target.id);
    }
    const shim = this.#shimOf(target, record);
    this.#shims.set(keyOf(target), shim);
    shim.connected().then(
      () => void (record.pid > 0 && this.tellExit(shim)),
      () => {},
    );
  }

  #shimOf(target: ShimTarget, record: ForeignRecord): SandboxShim {
    const { daemon, log } = this.#options;
    return new SandboxShim(target, record, daemon.timeouts.loadMs, log, this.#bury);
  }

  /** A dead shim's sandbox is removed by the shim's own program, and its end is told. */
  readonly #bury = (shim: SandboxShim): void => {
    void this.#buryNow(shim).catch((error) =>
      this.#options.log.error(
        { id: shim.target.id, error: messageOf(error) },
        'sandbox of a dead shim is left',
      ),
    );
  };

  async #buryNow(shim: SandboxShim): Promise<void> {
    const { namespace, id, bundle } = shim.target;
    using _lock = await this.#locks.acquire(`${namespace}/${id}`, never);
    if (this.#shims.get(keyOf(shim.target)) !== shim) return;
    this.#options.log.info({ namespace, id }, 'shim of a sandbox is dead: cleaning up');
    this.#told(shim, { exitStatus: unknownExit, exitedAt: new Date() });
    this.#forget(shim);
    shim[Symbol.dispose]();
    await new ShimProgram(shim.record.program, this.#options.daemon)
      .delete(shim.target)
      .catch((error) =>
        this.#options.log.warn({ namespace, id, error: messageOf(error) }, 'shim cannot delete its sandbox'),
      );
    await endProcessesIn(bundle);
    await this.#bundles.remove(namespace, id);
  }
}

const keyOf = ({ namespace, id }: Pick<ShimTarget, 'namespace' | 'id'>): string => `${namespace}/${id}`;
