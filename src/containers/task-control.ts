import type { Context } from '../async/context.ts';
import type { Image } from '../metadata/image-store.ts';
import type { ChainId } from '../oci/digest.ts';

/** What the verbs need of running tasks; the namespace is the context's. */
export interface TaskControl {
  /** The task of a container, undefined when it has none. */
  find(ctx: Context, containerId: string): Promise<TaskGlance | undefined>;
  /** Signals every process of the task. @throws not_found */
  kill(ctx: Context, containerId: string, signal: number): Promise<void>;
  /** Resolves when the first process has exited. @throws not_found */
  wait(ctx: Context, containerId: string): Promise<void>;
  /** Deletes a task that has exited. @throws not_found, failed_precondition (running) */
  delete(ctx: Context, containerId: string): Promise<void>;
}

export interface TaskGlance {
  /** False once the first process has exited. */
  readonly alive: boolean;
  /** Of the first process; 0 when it is not known. */
  readonly pid: number;
}

/** Sees to it that an image's layers for this machine are snapshots. */
export interface Unpacker {
  /** @returns the committed snapshot to stand on. @throws not_found (content is missing and cannot be fetched) */
  ensureUnpacked(ctx: Context, image: Image, snapshotter: string): Promise<ChainId>;
}
