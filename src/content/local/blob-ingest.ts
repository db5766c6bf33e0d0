import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import {
  codeOf,
  dataLoss,
  failedPrecondition,
  invalidArgument,
  resourceExhausted,
} from '../../errors/error.ts';
import { algorithmOf, type Digest } from '../../oci/digest.ts';
import type { BlobIngest } from '../blobs.ts';
import type { WriterTail } from '../store.ts';
import type { HashThread } from './hash-thread.ts';
import { RunningHash } from './running-hash.ts';

const chunkBytes = 1 << 20;

/** What the store does with a finished file: give it its name. */
export type Adopt = (digest: Digest) => Promise<void>;

const isFull = (error: unknown): boolean => codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT';
const diskFull = (cause: unknown) => resourceExhausted('no space left on device', cause);
const writeFailure = (error: unknown) => (isFull(error) ? diskFull(error) : error);

/** One file being written. Bytes are hashed behind the writer, who does not wait for it. */
export class LocalIngest implements BlobIngest {
  readonly foundAt: Date;
  readonly #file: FileHandle;
  readonly #hash: RunningHash;
  readonly #adopt: Adopt;
  #offset: number;
  /** A write that failed, or somebody else's, may have left bytes behind the offset. */
  #mayBeLonger = false;
  #closed = false;

  constructor(file: FileHandle, found: Stats, thread: HashThread, adopt: Adopt) {
    this.#file = file;
    this.#hash = new RunningHash(file, thread);
    this.#offset = found.size;
    this.foundAt = found.mtime;
    this.#adopt = adopt;
  }

  get offset(): number {
    return this.#offset;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    for (let start = 0; start < data.length; start += chunkBytes) {
      const chunk = data.subarray(start, start + chunkBytes);
      await this.#append(chunk);
      this.#hash.append(chunk, this.#offset);
      this.#offset += chunk.length;
    }
  }

  tail(): WriterTail {
    this.#mustBeOpen();
    this.#mayBeLonger = true;
    return {
      fd: this.#file.fd,
      grew: (bytes) => {
        this.#offset += bytes;
        this.#hash.grewTo(this.#offset);
      },
      failed: writeFailure,
    };
  }

  async truncate(offset: number): Promise<void> {
    this.#mustBeOpen();
    if (offset < 0 || offset > this.#offset) {
      throw invalidArgument(`cannot truncate to ${offset}: ingest has ${this.#offset} bytes`);
    }
    await this.#file.truncate(offset);
    this.#hash.truncate(offset);
    this.#offset = offset;
  }

  digest(): Promise<Digest> {
    this.#mustBeOpen();
    return this.#hash.digest(this.#offset);
  }

  async commit({ sizeBytes, expected }: { sizeBytes?: number | undefined; expected?: Digest | undefined }) {
    this.#mustBeOpen();
    if (sizeBytes && sizeBytes !== this.#offset) {
      throw failedPrecondition(`unexpected commit size ${this.#offset}, expected ${sizeBytes}`);
    }
    const digest = await this.#digestLike(expected);
    if (expected && expected !== digest) {
      throw failedPrecondition(`unexpected commit digest ${digest}, expected ${expected}`);
    }
    if (this.#mayBeLonger) await this.#file.truncate(this.#offset);
    await this.#file.chmod(0o444);
    await this.#sync();
    await this[Symbol.asyncDispose]();
    await this.#adopt(digest);
    return { digest, sizeBytes: this.#offset };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#hash.close();
    await this.#file.close();
  }

  #digestLike(expected: Digest | undefined): Promise<Digest> {
    return this.#hash.digest(this.#offset, expected && algorithmOf(expected));
  }

  /**
   * After a sync that failed the kernel may have dropped bytes that it still shows: nothing of the file can be trusted, and
   * what goes on with this ingest starts over.
   */
  async #sync(): Promise<void> {
    try {
      await this.#file.sync();
    } catch (error) {
      await this.truncate(0);
      throw isFull(error) ? diskFull(error) : dataLoss('what was written did not reach the disk', error);
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    let done = 0;
    try {
      while (done < chunk.length) {
        const { bytesWritten } = await this.#file.write(
          chunk,
          done,
          chunk.length - done,
          this.#offset + done,
        );
        done += bytesWritten;
      }
    } catch (error) {
      this.#mayBeLonger = true;
      throw writeFailure(error);
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw failedPrecondition('cannot use closed writer');
  }
}
