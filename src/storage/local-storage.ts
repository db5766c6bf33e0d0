import { type Context, namespaceOf } from '../async/context.ts';
import { check } from './check.ts';
import { Holdings } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import { prune } from './prune.ts';
import type {
  CheckOptions,
  CheckProgress,
  Pruned,
  PruneRequest,
  Storage,
  StorageUsage,
  WhySubject,
} from './storage.ts';
import { measureRoot, usageItems } from './usage.ts';
import { why } from './why.ts';

/** {@link Storage} of this daemon's own root. */
export class LocalStorage implements Storage {
  readonly #parts: StorageParts;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  async usage(ctx: Context): Promise<StorageUsage> {
    const holdings = await Holdings.read(this.#parts.metadata, ctx);
    const items = await usageItems(this.#parts, ctx, holdings);
    return { ...(await measureRoot(this.#parts.root)), items };
  }

  async why(ctx: Context, target: string): Promise<WhySubject[]> {
    const namespace = namespaceOf(ctx);
    const holdings = await Holdings.read(this.#parts.metadata, ctx);
    return why(this.#parts.metadata.db, holdings, namespace, target);
  }

  prune(ctx: Context, request: PruneRequest): Promise<Pruned> {
    return prune(this.#parts, ctx, request);
  }

  check(ctx: Context, options: CheckOptions): AsyncIterable<CheckProgress> {
    return check(this.#parts, ctx, options);
  }
}
