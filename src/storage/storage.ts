import type { Context } from '../async/context.ts';
import type { NodeType } from '../metadata/changes.ts';

/** A resource as garbage collection knows it. The id of a snapshot is `<snapshotter>/<key>`. */
export interface Resource {
  readonly kind: NodeType;
  readonly namespace: string;
  readonly id: string;
}

/** What is on disk, who holds it and why, what can go, and whether it is whole. */
export interface Storage {
  /** Measures the data root, of all namespaces. */
  usage(ctx: Context): Promise<StorageUsage>;
  /**
   * Every path from a root to what `target` names: a digest (of any namespace), a snapshot's key, an image, container or
   * lease of the caller's namespace; digests and ids may be cut short. @throws not_found
   */
  why(ctx: Context, target: string): Promise<WhySubject[]>;
  /** Removes what nothing uses in the caller's namespace; with `dryRun` says what that would be. */
  prune(ctx: Context, request: PruneRequest): Promise<Pruned>;
  /** Compares records, files and mounts, of all namespaces. */
  check(ctx: Context, options: CheckOptions): AsyncIterable<CheckProgress>;
}

/** The data root, measured. */
export interface StorageUsage {
  readonly root: string;
  /** Everything below the root, as `du` counts it. */
  readonly diskBytes: number;
  /** Parts of the root, which add up to `diskBytes`. */
  readonly parts: readonly { readonly name: string; readonly diskBytes: number }[];
  readonly items: readonly UsageItem[];
}

/** What one resource holds. */
export interface UsageItem {
  readonly resource: Resource;
  /** All that it holds, each blob and snapshot once; of content, snapshots and ingests their own size. */
  readonly bytes: number;
  /** What would be freed if this alone were removed. */
  readonly uniqueBytes: number;
  /** Images: a container stands on it. Containers: it has a task. Others: something keeps it. */
  readonly inUse: boolean;
  readonly updatedAt: Date;
}

/** One resource that a question named, and what keeps it. */
export interface WhySubject {
  readonly resource: Resource;
  readonly bytes: number;
  /** From a root to the subject. None: nothing keeps it, the next collection takes it. */
  readonly paths: readonly (readonly WhyStep[])[];
  /** There are more paths. */
  readonly truncated: boolean;
}

/** A resource on a path, and what makes it a root or refers to it from the step before. */
export interface WhyStep {
  readonly resource: Resource;
  readonly because: string;
}

/** What to remove. Nothing that is in use is ever taken. */
export interface PruneRequest {
  /** Every image that no container uses, not only those without a tag. Default false. */
  readonly all?: boolean;
  /** Containers that do not run, too. Default false. */
  readonly containers?: boolean;
  /** Only what was not changed since. */
  readonly until?: Date | undefined;
  /** `key` or `key=value`: each must hold. */
  readonly labels?: readonly string[];
  /** None may hold. */
  readonly withoutLabels?: readonly string[];
  readonly dryRun?: boolean;
  /** Of what is found only these. */
  readonly only?: readonly Resource[] | undefined;
}

/** What went, or would go. */
export interface Pruned {
  readonly items: readonly PrunedItem[];
  /** What goes when all items go, what they share and garbage included. */
  readonly freedBytes: number;
}

/** One resource that went; `error` says why it did not. */
export interface PrunedItem {
  readonly resource: Resource;
  /** What goes with this one alone. */
  readonly bytes: number;
  readonly error?: string;
}

export interface CheckOptions {
  /** Puts right what can be: fetches bad blobs again, removes what no record knows. */
  readonly repair?: boolean;
  /** Leaves out hashing blobs. */
  readonly quick?: boolean;
}

/** How far a check is, and what it has found. */
export interface CheckProgress {
  readonly finding?: Finding;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Something that is not as it should be. */
export interface Finding {
  readonly kind:
    | 'lost-content'
    | 'damaged-content'
    | 'orphan-content'
    | 'orphan-ingest'
    | 'lost-snapshot'
    | 'orphan-snapshot'
    | 'unknown-mount'
    | 'broken-reference'
    | 'damaged-database';
  /** What it concerns, where that is a record. */
  readonly resource?: Resource;
  readonly message: string;
  readonly repaired: boolean;
  /** Why it could not be repaired, when that was asked for. */
  readonly error?: string;
}
