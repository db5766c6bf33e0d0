import type { Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { Limiter } from '../async/limiter.ts';
import type { Blobs } from '../content/blobs.ts';
import type { Digest } from '../oci/digest.ts';
import { isHeld } from './content-rows.ts';
import type { Db } from './db.ts';

/** Holders finish quickly and undo nothing, so nobody gives up waiting. */
const never = new AbortController().signal;
const removalsAtOnce = 16;

/**
 * Keeps bytes and records together: whoever makes a blob's record out of bytes, and whoever removes bytes that no
 * record holds, do it under the digest's lock. So bytes never go while a record for them is being written.
 */
export class BlobKeeper {
  readonly blobs: Blobs;
  readonly #db: Db;
  readonly #log: Log;
  readonly #locks = new KeyedLock();
  readonly #limiter = new Limiter(removalsAtOnce);
  readonly #releasing = new Set<Promise<void>>();

  constructor(blobs: Blobs, db: Db, log: Log) {
    this.blobs = blobs;
    this.#db = db;
    this.#log = log;
  }

  lock(digest: Digest): Promise<Disposable> {
    return this.#locks.acquire(digest, never);
  }

  /** Removes the bytes unless a record needs them. */
  async release(digest: Digest): Promise<void> {
    using _lock = await this.lock(digest);
    if (!isHeld(this.#db, digest)) await this.blobs.delete(digest);
  }

  /** The same without waiting; {@link settled} waits. What fails is removed at the next start. */
  releaseLater(digest: Digest): void {
    this.#later(() => this.release(digest), digest);
  }

  /** Removes the file of an ingest without waiting. */
  abortLater(key: string): void {
    this.#later(() => this.blobs.abortIngest(key), key);
  }

  #later(remove: () => Promise<void>, what: string): void {
    const removing = this.#inTurn(remove)
      .catch((error) => this.#log.warn({ error, what }, 'bytes of removed content are left'))
      .finally(() => this.#releasing.delete(removing));
    this.#releasing.add(removing);
  }

  async #inTurn(remove: () => Promise<void>): Promise<void> {
    using _turn = await this.#limiter.acquire(never);
    await remove();
  }

  async settled(): Promise<void> {
    await Promise.all(this.#releasing);
  }
}
