import { fromBinary } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import { RuntimeInfoSchema } from '../gen/containerd/types/types_pb.ts';
import type { Activation, Activations } from '../mounts/activations.ts';
import { planMounts } from '../mounts/plan.ts';
import type { Any } from '../oci/any.ts';
import type { NewTask, RootfsMount } from './task.ts';

/** A program that can be asked what it is; a ShimProgram is one. */
interface Teller {
  info(options: Any | undefined): Promise<Uint8Array>;
}

/** By this annotation a shim says which mounts it makes itself: types and `transform/*`, with commas between. */
const allowAnnotation = 'containerd.io/runtime-allow-mounts';

/**
 * Root mounts that take more than mount(2) are activated under the task's id for as long as the task is there; its
 * container keeps them from collection (containerd's docs/mounts.md).
 */
export class RootfsMounts {
  readonly #activations: Activations | undefined;

  constructor(activations: Activations | undefined) {
    this.#activations = activations;
  }

  /** What is left for the shim to mount. `shim`: of others; undefined for berth-shim. @throws as Activations.activate */
  async activate(ctx: Context, task: NewTask, shim: Teller | undefined): Promise<readonly RootfsMount[]> {
    if (this.#activations === undefined || planMounts(task.rootfs, {}) === undefined) return task.rootfs;
    const allow = shim === undefined ? [] : await allowedBy(ctx, shim, task.options);
    const labels = { 'containerd.io/gc.bref.container': task.containerId };
    try {
      return (await this.#activations.activate(ctx, task.containerId, task.rootfs, { labels, allow })).system;
    } catch (error) {
      if (isKind(error, 'not_implemented') && planMounts(task.rootfs, { allow }) === undefined)
        return task.rootfs;
      if (!isKind(error, 'already_exists')) throw error;
      return (await this.#info(ctx, task.containerId))?.system ?? task.rootfs;
    }
  }

  /** Once the task is gone. Never throws: what is busy goes with the next collection. */
  async release(ctx: Context, id: string): Promise<void> {
    try {
      if ((await this.#info(ctx, id)) !== undefined) await this.#activations?.deactivate(ctx, id);
    } catch (error) {
      ctx.log.warn({ id, error: messageOf(error) }, 'root mounts of a task are left to the next collection');
    }
  }

  async #info(ctx: Context, id: string): Promise<Activation | undefined> {
    try {
      return await this.#activations?.info(ctx, id);
    } catch (error) {
      if (isKind(error, 'not_found')) return undefined;
      throw error;
    }
  }
}

/** A shim that cannot say makes none. */
async function allowedBy(ctx: Context, shim: Teller, options: Any | undefined): Promise<string[]> {
  try {
    const { annotations } = fromBinary(RuntimeInfoSchema, await shim.info(options));
    return (annotations[allowAnnotation] ?? '')
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '');
  } catch (error) {
    ctx.log.warn({ error: messageOf(error) }, 'a shim does not say which mounts it makes');
    return [];
  }
}
