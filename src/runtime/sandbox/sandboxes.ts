import { setTimeout as sleep } from 'node:timers/promises';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { type Context, daemonContext, type Log, namespaceOf } from '../../async/context.ts';
import { KeyedLock } from '../../async/keyed-lock.ts';
import { never } from '../../async/never.ts';
import {
  alreadyExists,
  isKind,
  messageOf,
  notFound,
  notImplemented,
  unknown,
  wrap,
} from '../../errors/error.ts';
import type { Events } from '../../events/events.ts';
import { makeEvent, timestampOf } from '../../events/topics.ts';
import { toAny } from '../../rpc/any.ts';
import { Bundles, sandboxBundlesDir } from '../bundle.ts';
import { endProcessesIn } from '../foreign/bundle-processes.ts';
import { readForeignRecord } from '../foreign/foreign-record.ts';
import type { ShimEndpoint } from '../foreign/shim-answer.ts';
import { type DaemonEnds, ShimProgram, type ShimTarget } from '../foreign/shim-program.ts';
import { changeMs, isTimeout, lookMs, lostShim, uncancelled } from '../shim-calls.ts';
import type { TaskExit } from '../task.ts';
import { exitOf } from '../task-wire.ts';
import type {
  SandboxController,
  SandboxEnds,
  SandboxMetrics,
  SandboxPlatform,
  SandboxStatus,
  SandboxToCreate,
  StartedSandbox,
} from './controller.ts';
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
 * The sandboxer `shim`: one shim a sandbox, which serves the sandbox API and runs the sandbox's containers. What an earlier
 * daemon left is found again in the bundles.
 */
export class Sandboxes implements SandboxController, Disposable {
  readonly #options: SandboxesOptions;
  readonly #bundles: Bundles;
  readonly #shims = new Map<string, SandboxShim>();
  readonly #locks = new KeyedLock();
  readonly #loaded: Promise<void>;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.#bundles = new Bundles(options.stateDir, sandboxBundlesDir);
    this.#loaded = this.#load();
  }

  async create(ctx: Context, wanted: SandboxToCreate): Promise<void> {
    const { id, runtime, spec } = wanted.sandbox;
    const namespace = namespaceOf(ctx);
    using _lock = await this.#locks.acquire(`${namespace}/${id}`, ctx.signal);
    await this.#loaded;
    if (this.#find(ctx, id)) throw alreadyExists(`sandbox ${id} already running: already exists`);
    const bundle = await this.#makeBundle(namespace, id, spec?.value);
    let shim: SandboxShim | undefined;
    try {
      shim = await this.#start({ namespace, id, bundle }, runtime.name, runtime.options);
      await this.#createIn(ctx, shim, wanted);
    } catch (error) {
      if (shim !== undefined) await this.#end(ctx, shim);
      await this.#bundles.remove(namespace, id);
      throw error;
    }
    this.#publish(ctx, makeEvent('sandboxCreate', { sandboxId: id }));
  }

  async start(ctx: Context, id: string): Promise<StartedSandbox> {
    await this.#loaded;
    const shim = this.#find(ctx, id);
    if (shim === undefined) throw unknown(`unable to find sandbox ${JSON.stringify(id)}`);
    try {
      const request = { sandboxId: id };
      const { pid, createdAt, spec } = await shim.call((to) =>
        to.startSandbox(request, uncancelled(ctx), changeMs),
      );
      shim.note({ pid: Math.max(pid, 1) });
      this.#publish(ctx, makeEvent('sandboxStart', { sandboxId: id }));
      void this.#tellExit(shim);
      return { ...endsOf(shim), pid, createdAt: dateOf(createdAt) ?? new Date(0), labels: {}, spec };
    } catch (error) {
      await this.#end(ctx, shim);
      await this.#bundles.remove(shim.target.namespace, id);
      throw wrap(error, `failed to start sandbox ${id}`);
    }
  }

  async platform(ctx: Context, id: string): Promise<SandboxPlatform> {
    const { platform } = await this.#ask(ctx, id, 'failed to get sandbox platform', (to) =>
      to.platform({ sandboxId: id }, ctx, lookMs),
    );
    const { os = '', architecture = '', variant = '' } = platform ?? {};
    return { os, architecture, variant };
  }

  async stop(ctx: Context, id: string, timeoutSeconds: number): Promise<void> {
    try {
      const timeoutMs = changeMs + timeoutSeconds * 1000;
      await this.#ask(ctx, id, 'failed to stop sandbox', (to) =>
        to.stopSandbox({ sandboxId: id, timeoutSecs: timeoutSeconds }, uncancelled(ctx), timeoutMs),
      );
    } catch (error) {
      if (!isKind(error, 'not_found') && !isKind(error, 'unavailable')) throw error;
    }
  }

  async wait(ctx: Context, id: string): Promise<TaskExit> {
    await this.#loaded;
    return this.#waitFor(ctx, this.#get(ctx, id));
  }

  async status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus> {
    await this.#loaded;
    const shim = this.#find(ctx, id);
    if (shim === undefined)
      return { address: '', version: 0, pid: 0, state: '', info: {}, exitedAt: new Date() };
    const found = await this.#ask(ctx, id, `failed to query sandbox ${id} status`, (to) =>
      to.sandboxStatus({ sandboxId: id, verbose }, ctx, lookMs),
    );
    const { pid, state, info, extra } = found;
    const [createdAt, exitedAt] = [dateOf(found.createdAt), dateOf(found.exitedAt)];
    return { ...endsOf(shim), pid, state, info, extra, createdAt, exitedAt };
  }

  async shutdown(ctx: Context, id: string): Promise<void> {
    using _lock = await this.#locks.acquire(`${namespaceOf(ctx)}/${id}`, ctx.signal);
    await this.#loaded;
    const shim = this.#get(ctx, id);
    await this.#end(ctx, shim);
    await this.#bundles.remove(shim.target.namespace, id);
  }

  async metrics(ctx: Context, id: string): Promise<SandboxMetrics | undefined> {
    const { metrics } = await this.#ask(ctx, id, '', (to) =>
      to.sandboxMetrics({ sandboxId: id }, ctx, lookMs),
    );
    return (
      metrics && { id: metrics.id, timestamp: dateOf(metrics.timestamp) ?? new Date(0), data: metrics.data }
    );
  }

  /** Nothing that a shim runs can be changed; the store has what was asked. */
  async update(): Promise<void> {}

  /** Where a sandbox's containers run. @throws not_found */
  async endpointOf(ctx: Context, id: string): Promise<{ program: string; endpoint: ShimEndpoint }> {
    await this.#loaded;
    const { program, endpoint } = this.#find(ctx, id)?.record ?? {};
    if (program === undefined || endpoint === undefined)
      throw notFound(`failed to start shim: can't find sandbox ${id}: not found`);
    return { program, endpoint };
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

  async #start(
    target: ShimTarget,
    runtimeName: string,
    options: SandboxToCreate['options'],
  ): Promise<SandboxShim> {
    const { id } = target;
    const file = this.#programOf(id, runtimeName);
    const record = { format: 1, program: file, pid: 0 } as const;
    const shim = new SandboxShim(target, record, this.#options.log, this.#bury);
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

  async #createIn(ctx: Context, shim: SandboxShim, wanted: SandboxToCreate): Promise<void> {
    const { sandbox, rootfs, options, netnsPath, annotations } = wanted;
    const request = {
      sandboxId: sandbox.id,
      bundlePath: shim.target.bundle,
      rootfs: rootfs.map((mount) => ({ ...mount, options: [...mount.options] })),
      netnsPath,
      annotations: { ...annotations },
      ...(options && { options: toAny(options) }),
    };
    try {
      await shim.call((to) => to.createSandbox(request, uncancelled(ctx), changeMs));
      ctx.signal.throwIfAborted();
    } catch (error) {
      throw wrap(error, `failed to create sandbox ${sandbox.id}`);
    }
  }

  /** Has the shim end, and ends it where it does not. Never throws. */
  async #end(ctx: Context, shim: SandboxShim): Promise<void> {
    const { id, bundle } = shim.target;
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
  }

  async #ask<T>(
    ctx: Context,
    id: string,
    context: string,
    work: Parameters<typeof SandboxShim.prototype.call<T>>[0],
  ): Promise<T> {
    await this.#loaded;
    const shim = this.#get(ctx, id);
    return shim.call(work).catch((error) => {
      throw context === '' ? error : wrap(error, context);
    });
  }

  async #waitFor(ctx: Context, shim: SandboxShim): Promise<TaskExit> {
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
  async #tellExit(shim: SandboxShim): Promise<void> {
    const { namespace } = shim.target;
    const ctx = daemonContext(this.#options.log, namespace);
    try {
      this.#told(shim, await this.#waitFor(ctx, shim));
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
    this.#publish(daemonContext(this.#options.log, namespace), makeEvent('sandboxExit', exit));
  }

  #publish(ctx: Context, { topic, event }: ReturnType<typeof makeEvent>): void {
    const failed = (error: unknown) => ctx.log.error({ error, topic }, 'event could not be published');
    void this.#options.events.publish(ctx, topic, event).catch(failed);
  }

  #find(ctx: Context, id: string): SandboxShim | undefined {
    return this.#shims.get(keyOf({ namespace: namespaceOf(ctx), id }));
  }

  #get(ctx: Context, id: string): SandboxShim {
    const found = this.#find(ctx, id);
    if (found === undefined) throw notFound('not found');
    return found;
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
    const shim = new SandboxShim(target, record, this.#options.log, this.#bury);
    this.#shims.set(keyOf(target), shim);
    shim.connected().then(
      () => void (record.pid > 0 && this.#tellExit(shim)),
      () => {},
    );
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

function endsOf({ record: { endpoint } }: SandboxShim): SandboxEnds {
  return endpoint === undefined
    ? { address: '', version: 0 }
    : { address: `unix://${endpoint.path}`, version: endpoint.version };
}

const dateOf = (timestamp: Timestamp | undefined): Date | undefined => timestamp && timestampDate(timestamp);
