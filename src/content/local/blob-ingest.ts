import type { FileHandle } from 'node:fs/promises';
import { codeOf, failedPrecondition, invalidArgument, resourceExhausted } from '../../errors/error.ts';
import { algorithmOf, type Digest } from '../../oci/digest.ts';
import type { BlobIngest } from '../blobs.ts';
import { hashFile, RunningHash } from './running-hash.ts';

const chunkBytes = 1 << 20;

/** What the store does with a finished file: give it its name. */
export type Adopt = (digest: Digest) => Promise<void>;

/** One file being written. Bytes are hashed while the kernel writes them, a megabyte at a time. */
export class LocalIngest implements BlobIngest {
  readonly #file: FileHandle;
  readonly #hash: RunningHash;
  readonly #adopt: Adopt;
  #offset: number;
  #closed = false;

  constructor(file: FileHandle, offset: number, adopt: Adopt) {
    this.#file = file;
    this.#hash = new RunningHash(file);
    this.#offset = offset;
    this.#adopt = adopt;
  }

  get offset(): number {
    return this.#offset;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    for (let start = 0; start < data.length; start += chunkBytes) {
      const chunk = data.subarray(start, start + chunkBytes);
      const written = this.#append(chunk);
      this.#hash.append(chunk, this.#offset);
      await written;
      this.#offset += chunk.length;
    }
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
    await this.#file.truncate(this.#offset); // drops what a failed write may have left behind
    await this.#file.chmod(0o444);
    await this.#file.sync();
    await this[Symbol.asyncDispose]();
    await this.#adopt(digest);
    return { digest, sizeBytes: this.#offset };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }

  #digestLike(expected: Digest | undefined): Promise<Digest> {
    return expected && algorithmOf(expected) === 'sha512'
      ? hashFile(this.#file, 'sha512', this.#offset)
      : this.#hash.digest(this.#offset);
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
      this.#hash.truncate(this.#offset);
      throw codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT'
        ? resourceExhausted('no space left on device', error)
        : error;
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw failedPrecondition('cannot use closed writer');
  }
}
