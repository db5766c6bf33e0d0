import type { Context } from '../async/context.ts';
import type { Mount } from '../sys/mount.ts';

/** A mount that was made, and where it can be seen. For a loop device that is a link to the device. */
export interface ActiveMount extends Mount {
  readonly mountPoint: string;
  readonly mountedAt: Date;
}

/** A named list of mounts, as far as they were made: what is left (`system`) is for whoever runs the container. */
export interface Activation {
  readonly name: string;
  /** Made here, in order. */
  readonly active: readonly ActiveMount[];
  /** Plain mounts that show the file system once they are made, in order. */
  readonly system: readonly Mount[];
  readonly labels: Readonly<Record<string, string>>;
}

/** What else an activation may be asked. */
export interface ActivateOptions {
  /** `containerd.io/gc.bref.{container,content,image,snapshot.<snapshotter>}` keep it from collection. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Make all of them, and give back one bind mount of the last. Default false. */
  readonly temporary?: boolean;
  /** Types (`erofs`, `format/overlay`) and transforms (`format/*`) that the caller sees to himself. Default none. */
  readonly allow?: readonly string[];
}

/**
 * Mounts that take more than mount(2): files as loop devices, EROFS images, directories and file systems made on the
 * way, options that name an earlier mount (containerd's docs/mounts.md). One that neither the context's lease nor a
 * label keeps goes with the next collection.
 */
export interface Activations {
  /**
   * @throws not_implemented (nothing of it takes more than mount(2): do it yourself), already_exists, unknown (what
   * the kernel says), invalid_argument
   */
  activate(
    ctx: Context,
    name: string,
    mounts: readonly Mount[],
    options?: ActivateOptions,
  ): Promise<Activation>;
  /** Undoes what was made. @throws not_found, unknown (busy: tried again by the next collection) */
  deactivate(ctx: Context, name: string): Promise<void>;
  /** @throws not_found */
  info(ctx: Context, name: string): Promise<Activation>;
  /** Filters: `name`, `labels.<key>`. @throws invalid_argument (filter) */
  list(ctx: Context, filters?: readonly string[]): Promise<Activation[]>;
}
