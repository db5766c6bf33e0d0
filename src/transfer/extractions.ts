import { abortable } from '../async/abortable.ts';
import { type Context, namespaceOf } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import { type Extracted, extract, type Hold } from './extract.ts';
import type { GrowingBlob } from './growing-blob.ts';
import type { TransferParts } from './parts.ts';
import type { Report, TransferProgress } from './progress.ts';
import type { Arrival, Layer, UnpackJob } from './unpack-job.ts';

/** One who wants a layer. */
interface User {
  readonly ctx: Context;
  readonly request: UnpackJob;
}

/**
 * Layers on their way into a snapshot. Who wants one that is under way shares it, up to its commit. Who goes away leaves it to
 * the others, and what was held by his lease is held by theirs; the last one to go stops it.
 */
export class Extractions {
  readonly #running = new Map<string, Extraction>();

  /** Joins what is under way, or starts it; see {@link extract}. @throws what extracting throws (to everybody), the signal's reason */
  join(parts: TransferParts, ctx: Context, request: UnpackJob, layer: Layer): Promise<Extracted> {
    const { chainId, descriptor } = layer;
    const key = `${request.snapshotter.name} ${namespaceOf(ctx)} ${chainId} ${descriptor.digest}`;
    const user = { ctx, request };
    const extraction =
      this.#running.get(key) ?? new Extraction(parts, user, layer, () => this.#running.delete(key));
    this.#running.set(key, extraction);
    return extraction.join(user);
  }

  /** Layers under way. */
  get size(): number {
    return this.#running.size;
  }
}

class Extraction {
  readonly #parts: TransferParts;
  readonly #layer: Layer;
  readonly #snapshotter: string;
  readonly #users = new Set<User>();
  readonly #stop = new AbortController();
  readonly #onLeft: () => void;
  readonly #extracted: Promise<Extracted>;
  #arrival: SharedArrival | undefined;
  /** The snapshot that it goes into. */
  #key: string | undefined;
  #committed: Promise<void> | undefined;
  /** What is being done under the lease of one user: nobody leaves before it is over. */
  #busy: Promise<unknown> = Promise.resolve();
  #last: TransferProgress | undefined;

  constructor(parts: TransferParts, first: User, layer: Layer, onLeft: () => void) {
    const { request } = first;
    this.#parts = parts;
    this.#layer = layer;
    this.#snapshotter = request.snapshotter.name;
    this.#onLeft = onLeft;
    const customer = { id: request.customer.id, report: this.#report };
    const ctx = { ...first.ctx, lease: undefined, signal: this.#stop.signal };
    const job = { ...request, customer, bring: this.#bring };
    this.#extracted = Promise.resolve().then(() => extract(parts, ctx, job, layer, this.#hold));
    this.#extracted.catch(() => {}); // every user hears of it
  }

  async join(user: User): Promise<Extracted> {
    const { ctx, request } = user;
    this.#users.add(user);
    this.#arrival?.add(user, this.#layer);
    if (this.#last !== undefined) request.customer.report(this.#last);
    let left: Promise<void> | undefined;
    const leave = () => (left ??= this.#leave(user));
    try {
      await this.#lease(user);
      const extracted = await abortable(this.#extracted, ctx.signal);
      return {
        commit: (at) => abortable(this.#commit(at, extracted), at.signal),
        [Symbol.asyncDispose]: leave,
      };
    } catch (error) {
      await leave();
      throw error;
    }
  }

  async #leave(user: User): Promise<void> {
    this.#users.delete(user);
    const isLast = this.#users.size === 0;
    if (isLast) {
      this.#onLeft();
      this.#stop.abort(user.ctx.signal.reason);
    }
    await this.#busy;
    if (!isLast) return;
    await this.#extracted.then(
      (extracted) => extracted[Symbol.asyncDispose](),
      () => {},
    );
  }

  /** Once, for everybody. */
  #commit(ctx: Context, extracted: Extracted): Promise<void> {
    if (this.#committed !== undefined) return this.#committed;
    this.#committed = extracted.commit({ ...ctx, signal: this.#stop.signal });
    this.#busy = this.#committed.catch(() => {});
    return this.#committed;
  }

  /** The snapshot is made under the lease of one user, then held by those of all. */
  readonly #hold: Hold = (key, prepare) => {
    const [user] = this.#users;
    if (user === undefined) throw this.#stop.signal.reason;
    const prepared = prepare({ ...user.ctx, signal: this.#stop.signal });
    const held = prepared.then(async () => {
      this.#key = key;
      for (const other of this.#users) if (other !== user) await this.#leaseOrSay(other);
    });
    this.#busy = held.catch(() => {});
    return held.then(() => prepared);
  };

  async #lease({ ctx }: User): Promise<void> {
    if (this.#key === undefined || ctx.lease === undefined) return;
    const resource = { id: this.#key, type: `snapshots/${this.#snapshotter}` };
    await this.#parts.leases.addResource(ctx, ctx.lease, resource);
  }

  /** One user's lease may be gone, which is no business of the others. */
  async #leaseOrSay(user: User): Promise<void> {
    await this.#lease(user).catch((error) =>
      user.ctx.log.warn({ error: messageOf(error) }, 'a layer under way is not held by a lease'),
    );
  }

  readonly #bring = (): Arrival => {
    if (this.#arrival === undefined) {
      this.#arrival = new SharedArrival();
      for (const user of this.#users) this.#arrival.add(user, this.#layer);
    }
    return this.#arrival;
  };

  readonly #report: Report = (step) => {
    this.#last = step;
    for (const { request } of this.#users) request.customer.report(step);
  };
}

/** A blob that several bring: it is here when it has come to one of them, and fails to come when it fails for all who still want it. */
class SharedArrival implements Arrival {
  readonly #whole = Promise.withResolvers<unknown>();
  readonly #growing = Promise.withResolvers<GrowingBlob>();
  readonly whole = this.#whole.promise;
  readonly growing = this.#growing.promise;
  #open = 0;

  constructor() {
    this.whole.catch(() => {}); // it may be that nobody waits for it any more
  }

  add({ ctx, request }: User, { descriptor }: Layer): void {
    const { whole, growing } = request.bring(descriptor);
    this.#open++;
    whole.then(this.#whole.resolve, (error) => {
      // One who goes away takes his share of the download along.
      if (--this.#open === 0 && !ctx.signal.aborted) this.#whole.reject(error);
    });
    growing?.then(this.#growing.resolve, () => {});
  }
}
