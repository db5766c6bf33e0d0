import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { type Context, namespaceOf } from '../../async/context.ts';
import { alreadyExists, isKind, notFound, unknown, wrap } from '../../errors/error.ts';
import { announce } from '../../events/announce.ts';
import type { Events } from '../../events/events.ts';
import { makeEvent } from '../../events/topics.ts';
import { toAny } from '../../rpc/any.ts';
import type { ShimEndpoint } from '../foreign/shim-answer.ts';
import { changeMs, lookMs, uncancelled } from '../shim-calls.ts';
import type { TaskExit } from '../task.ts';
import type {
  SandboxController,
  SandboxEnds,
  SandboxMetrics,
  SandboxPlatform,
  SandboxStatus,
  SandboxToCreate,
  StartedSandbox,
} from './controller.ts';
import type { SandboxShim } from './sandbox-shim.ts';
import { type SandboxesOptions, SandboxShims } from './sandbox-shims.ts';

/**
 * The sandboxer `shim`: one shim a sandbox, which serves the sandbox API and runs the sandbox's containers.
 */
export class Sandboxes implements SandboxController, Disposable {
  readonly #events: Events;
  readonly #shims: SandboxShims;

  constructor(options: SandboxesOptions) {
    this.#events = options.events;
    this.#shims = new SandboxShims(options);
  }

  async create(ctx: Context, wanted: SandboxToCreate): Promise<void> {
    const { id } = wanted.sandbox;
    using _lock = await this.#shims.lock(ctx, id);
    await this.#shims.loaded;
    if (this.#shims.find(ctx, id)) throw alreadyExists(`sandbox ${id} already running: already exists`);
    const shim = await this.#shims.start(namespaceOf(ctx), wanted);
    try {
      await this.#createIn(ctx, shim, wanted);
    } catch (error) {
      await this.#shims.end(ctx, shim);
      throw error;
    }
    announce(this.#events, ctx, makeEvent('sandboxCreate', { sandboxId: id }));
  }

  async start(ctx: Context, id: string): Promise<StartedSandbox> {
    await this.#shims.loaded;
    const shim = this.#shims.find(ctx, id);
    if (shim === undefined) throw unknown(`unable to find sandbox ${JSON.stringify(id)}`);
    try {
      const request = { sandboxId: id };
      const { pid, createdAt, spec } = await shim.call((to) =>
        to.startSandbox(request, uncancelled(ctx), changeMs),
      );
      shim.note({ pid: Math.max(pid, 1) });
      announce(this.#events, ctx, makeEvent('sandboxStart', { sandboxId: id }));
      void this.#shims.tellExit(shim);
      return { ...endsOf(shim), pid, createdAt: dateOf(createdAt) ?? new Date(0), labels: {}, spec };
    } catch (error) {
      await this.#shims.end(ctx, shim);
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
    await this.#shims.loaded;
    return this.#shims.waitFor(ctx, this.#shims.get(ctx, id));
  }

  async status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus> {
    await this.#shims.loaded;
    const shim = this.#shims.find(ctx, id);
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
    using _lock = await this.#shims.lock(ctx, id);
    await this.#shims.loaded;
    await this.#shims.end(ctx, this.#shims.get(ctx, id));
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
    await this.#shims.loaded;
    const { program, endpoint } = this.#shims.find(ctx, id)?.record ?? {};
    if (program === undefined || endpoint === undefined)
      throw notFound(`failed to start shim: can't find sandbox ${id}: not found`);
    return { program, endpoint };
  }

  /** Lets go of all shims; they run on. */
  [Symbol.dispose](): void {
    this.#shims[Symbol.dispose]();
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

  async #ask<T>(
    ctx: Context,
    id: string,
    context: string,
    work: Parameters<typeof SandboxShim.prototype.call<T>>[0],
  ): Promise<T> {
    await this.#shims.loaded;
    const shim = this.#shims.get(ctx, id);
    return shim.call(work).catch((error) => {
      throw context === '' ? error : wrap(error, context);
    });
  }
}

function endsOf({ record: { endpoint } }: SandboxShim): SandboxEnds {
  return endpoint === undefined
    ? { address: '', version: 0 }
    : { address: `unix://${endpoint.path}`, version: endpoint.version };
}

const dateOf = (timestamp: Timestamp | undefined): Date | undefined => timestamp && timestampDate(timestamp);
