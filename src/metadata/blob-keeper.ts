import { createHash, randomBytes } from 'node:crypto';
import type { Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { Limiter } from '../async/limiter.ts';
import { never } from '../async/never.ts';
import type { Blobs } from '../content/blobs.ts';
import { failedPrecondition } from '../errors/error.ts';
import { algorithmOf, type Digest, hexOf } from '../oci/digest.ts';
import { isHeld } from './content-rows.ts';
import type { Db } from './db.ts';

/** Holders finish quickly and undo nothing, so nobody gives up waiting. */
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

  /**
   * Puts bytes where those of a blob are lost or damaged; verified before anything is replaced.
   * @throws failed_precondition (not the bytes of the digest), what the source throws
   */
  async replace(digest: Digest, sizeBytes: number, source: AsyncIterable<Uint8Array>): Promise<void> {
    using _lock = await this.lock(digest);
    const key = `replace-${randomBytes(12).toString('hex')}`;
    try {
      const hash = createHash(algorithmOf(digest));
      await using ingest = await this.blobs.ingest(key);
      for await (const chunk of source) {
        if (ingest.offset + chunk.length > sizeBytes) throw notThe(digest);
        hash.update(chunk);
        await ingest.write(chunk);
      }
      if (ingest.offset !== sizeBytes || hash.digest('hex') !== hexOf(digest)) throw notThe(digest);
      await this.blobs.delete(digest);
      await ingest.commit({ sizeBytes, expected: digest });
    } finally {
      await this.blobs.abortIngest(key);
    }
  }

  /** Removes the bytes unless a record needs them. */
  async release(digest: Digest): Promise<void> {
    using _lock = await this.lock(digest);
    if (!isHeld(this.#db, digest)) await this.blobs.delete(digest);
  }

  /** Whether there are bytes that no record needs, nor one that is just being written. */
  async isOrphan(digest: Digest): Promise<boolean> {
    using _lock = await this.lock(digest);
    return !isHeld(this.#db, digest) && (await this.blobs.has(digest));
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

const notThe = (digest: Digest) => failedPrecondition(`what was brought is not ${digest}`);
