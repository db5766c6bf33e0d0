import type { Context } from '../async/context.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Any } from '../oci/any.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ChainId } from '../oci/digest.ts';
import type { Mount } from '../snapshots/snapshotter.ts';

/** What the verbs need of running tasks (the runtime's `Tasks` is one); the namespace is the context's. */
export interface TaskControl {
  /** The task of a container, undefined when it has none. */
  find(ctx: Context, containerId: string): Promise<TaskGlance | undefined>;
  /** Signals the first process. @throws not_found (also: has exited already) */
  kill(ctx: Context, containerId: string, signal: number): Promise<void>;
  /** Lets a paused task go on, so that it can die. @throws not_found */
  resume(ctx: Context, containerId: string): Promise<void>;
  /** Changes limits of a running task; JSON of the runtime specification's LinuxResources. @throws not_found, unknown (what the kernel refuses) */
  update(ctx: Context, containerId: string, resources: Any): Promise<void>;
  /** Resolves when the first process has exited. @throws not_found */
  wait(ctx: Context, containerId: string): Promise<unknown>;
  /** Deletes a task that has exited. @throws not_found, failed_precondition (running) */
  delete(ctx: Context, containerId: string): Promise<unknown>;
}

/** As much of a task as making and removing containers needs to know. */
export interface TaskGlance {
  readonly status: 'unknown' | 'created' | 'running' | 'paused' | 'pausing' | 'stopped';
  /** Of the first process; 0 when it is not known. */
  readonly pid: number;
}

/** Has the first process not exited yet? No task at all is not alive. */
export const isAlive = (task: TaskGlance | undefined): boolean =>
  task !== undefined && task.status !== 'stopped';

/** Sees to it that an image's layers for this machine are snapshots. */
export interface Unpacker {
  /** @returns the committed snapshot to stand on. @throws not_found (content is missing and cannot be fetched) */
  ensureUnpacked(ctx: Context, image: Image, snapshotter: string): Promise<ChainId>;
  /** Writes a layer that is here onto the mounts of an active snapshot. @throws not_found, invalid_argument */
  apply(ctx: Context, layer: Descriptor, mounts: readonly Mount[]): Promise<void>;
}
