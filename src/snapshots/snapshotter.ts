import type { Context } from '../async/context.ts';
import type { ChainId, Digest } from '../oci/digest.ts';

/**
 * Snapshots: stacks of file system changes.
 *
 *   prepare(key, parent) ▶ active ─ mounts ─ (write) ─ commit(name, key) ▶ committed ─ parent of others
 *   view(key, parent)    ▶ view   ─ mounts (read-only)
 *   remove(key): actives and views any time, committed ones only without children
 *
 * Keys (active, view) and names (committed) share one space within a namespace. A committed snapshot never changes.
 */
export interface Snapshotter {
  /** Name clients use, e.g. `overlayfs`. */
  readonly name: string;
  /** What it can beyond the plain contract, in containerd's words (`rebase`, `remap-ids`). None when absent. */
  readonly capabilities?: readonly string[];
  /** @throws not_found */
  stat(ctx: Context, key: string): Promise<SnapshotInfo>;
  /** Labels only; field paths as in ContentStore.update. @throws not_found, invalid_argument */
  update(
    ctx: Context,
    info: Pick<SnapshotInfo, 'name' | 'labels'>,
    fieldPaths?: readonly string[],
  ): Promise<SnapshotInfo>;
  /** Own bytes and inodes, without parents. @throws not_found */
  usage(ctx: Context, key: string): Promise<SnapshotUsage>;
  /** Mounts of an active or view snapshot. @throws not_found, failed_precondition (committed) */
  mounts(ctx: Context, key: string): Promise<Mount[]>;
  /** @throws already_exists (key taken), not_found (parent), invalid_argument (parent is not committed) */
  prepare(ctx: Context, key: string, parent: string, labels?: Labels): Promise<Mount[]>;
  view(ctx: Context, key: string, parent: string, labels?: Labels): Promise<Mount[]>;
  /**
   * Durable on return. `options.parent` (containerd's CommitSnapshotRequest.parent, with the `rebase` capability) puts a
   * committed parent under a snapshot that was prepared with parent '' — so layers can be applied all at once, each
   * into its own parentless snapshot, and committed in order. A snapshot prepared with a parent may name only that one.
   * @throws not_found (key, parent), already_exists (name), failed_precondition (not active; cannot rebase),
   *   invalid_argument (parent is not committed, or differs from the one it was prepared with)
   */
  commit(ctx: Context, name: string, key: string, labels?: Labels, options?: CommitOptions): Promise<void>;
  /**
   * Gives an empty active snapshot the layer that any namespace has committed under this chain ID out of this very blob,
   * without unpacking it again: its bytes are held once. It is on the caller to have the blob. False: there is none to be
   * had, or it cannot be shared. Absent where layers are not files. @throws not_found (key)
   */
  readonly share?: (ctx: Context, key: string, layer: UnpackedLayer) => Promise<boolean>;
  /** @throws not_found, failed_precondition (has children) */
  remove(ctx: Context, key: string): Promise<void>;
  /** Every snapshot that matches any filter (name, parent, kind, labels; none = all). */
  list(ctx: Context, filters?: readonly string[]): Promise<SnapshotInfo[]>;
  /** Removes directories that no snapshot owns. */
  cleanup(ctx: Context): Promise<void>;
}

/** A layer that the daemon itself has unpacked and held against its diff ID. */
export interface UnpackedLayer {
  readonly chainId: ChainId;
  /** What was unpacked, as it came. */
  readonly blob: Digest;
}

export interface CommitOptions {
  /** Default: the one it was prepared with. */
  readonly parent?: string | undefined;
  /** All there is in the snapshot is this blob, unpacked by the daemon itself and held against its diff ID. */
  readonly blob?: Digest | undefined;
}

type Labels = Readonly<Record<string, string>>;
/** Views are read only, active ones are written to, committed ones never change and can be parents. */
export type SnapshotKind = 'view' | 'active' | 'committed';

/** What is known of a snapshot; `name` is its key while it is view or active. */
export interface SnapshotInfo {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly labels: Labels;
}

/** What a snapshot itself takes on disk, its parents not counted. */
export interface SnapshotUsage {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** What mount(2) takes, in the words of containerd.types.Mount. Kernel-plain: types are `bind`, `overlay`, …. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly target?: string;
  readonly options: readonly string[];
}
