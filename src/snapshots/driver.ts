import type { ApplyTarget } from './apply-target.ts';
import type { RebuildTarget } from './rebuild-target.ts';
import type { Mount, SnapshotUsage } from './snapshotter.ts';

/**
 * The backend under a snapshotter: directories by number. Names, namespaces, parents, labels and usage live in
 * metadata, which calls a driver only with ids it has written down first; so whatever a crash leaves is an id that
 * metadata does not know, and `cleanup` removes it.
 */
export interface SnapshotDriver {
  readonly name: string;
  /** Capabilities shown to clients, e.g. `rebase`. */
  readonly capabilities: readonly string[];
  /** Directory that holds everything of this driver. */
  readonly root: string;
  /** What it found out about this machine, shown to clients. */
  readonly exports?: Readonly<Record<string, string>>;
  /** Labels that it adds to those of a snapshot when it is told of, committed ones included. */
  readonly labels?: (id: number) => Readonly<Record<string, string>>;
  /** Told once, before anything else, which active snapshots and views there are. Returns at once, works on. */
  restore?(standing: readonly DriverSnapshot[]): void;
  /**
   * Makes the directories of a new snapshot. `parents`: nearest first. Idempotent. `committed`: it has the layer that the
   * label `containerd.io/snapshot.ref` names already, and there is nothing to write.
   */
  create(snapshot: DriverSnapshot): Promise<'committed' | undefined>;
  /** The mounts of a snapshot that exists; what they name is there to be mounted. @throws LostSnapshot */
  mounts(snapshot: DriverSnapshot): Promise<Mount[]>;
  /** Makes an active snapshot durable and immutable; returns its usage. */
  commit(snapshot: DriverSnapshot): Promise<SnapshotUsage>;
  usage(snapshot: DriverSnapshot): Promise<SnapshotUsage>;
  /**
   * Makes the layer of the committed snapshot `from` that of the active, empty snapshot `to` as well: the same bytes, held
   * once. False where `from` is nothing that two can have. Absent where nothing ever is.
   */
  readonly share?: (from: number, to: number) => Promise<boolean>;
  /** The same text for all snapshots that share their bytes; undefined for one whose bytes are its own. */
  bodyOf?(id: number): string | undefined;
  /** Reads everything of a committed snapshot that can be held against a hash. @throws data_loss (what differs), aborted */
  verify?(id: number, signal: AbortSignal): Promise<void>;
  /** Begins to make the layer file of a committed snapshot again. @throws failed_precondition where it has none to make */
  rebuild?(snapshot: DriverSnapshot): Promise<RebuildTarget>;
  /** Idempotent. Never follows links, never crosses a mount. */
  remove(id: number): Promise<void>;
  /** The ids that have a directory. */
  list?(): Promise<number[]>;
  /** Removes what is not in `known`. Returns the ids that were removed. */
  cleanup(known: ReadonlySet<number>): Promise<number[]>;
  /** What these mounts, if they are of a snapshot of this driver, mean to whoever applies a layer to them. */
  applyTarget?(mounts: readonly Mount[]): Promise<ApplyTarget | undefined>;
}

/** A snapshot as a driver knows it: by number, without name or namespace. */
export interface DriverSnapshot {
  readonly id: number;
  readonly kind: 'view' | 'active';
  /** Ids of committed ancestors, nearest first. */
  readonly parents: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}
