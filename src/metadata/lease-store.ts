import type { Context } from '../async/context.ts';

/** A lease keeps resources from garbage collection until it is deleted or `containerd.io/gc.expire` passes. */
export interface Lease {
  readonly id: string;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
}

/** `type` is `content`, `ingests`, `snapshots/<snapshotter>` or `images`. */
export interface LeaseResource {
  readonly id: string;
  readonly type: string;
}

/** Leases of the context's namespace: what they hold is not collected while they last. */
export interface LeaseStore {
  /** An empty id is made up. @throws already_exists */
  create(ctx: Context, lease: { id?: string; labels?: Readonly<Record<string, string>> }): Promise<Lease>;
  /** @throws not_found */
  delete(ctx: Context, id: string, options?: { sync?: boolean }): Promise<void>;
  list(ctx: Context, filters?: readonly string[]): Promise<Lease[]>;
  /** Idempotent. @throws not_found (lease), invalid_argument (type) */
  addResource(ctx: Context, leaseId: string, resource: LeaseResource): Promise<void>;
  deleteResource(ctx: Context, leaseId: string, resource: LeaseResource): Promise<void>;
  listResources(ctx: Context, leaseId: string): Promise<LeaseResource[]>;
}
