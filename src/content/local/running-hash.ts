import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../../oci/digest.ts';

const chunkBytes = 1 << 20;

/**
 * SHA-256 of the front of a growing file. It follows writes for free and catches up by reading only when somebody
 * asks, so that resuming an ingest and then throwing it away costs no pass over its bytes.
 */
export class RunningHash {
  readonly #file: FileHandle;
  #hash: Hash = createHash('sha256');
  #hashed = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Bytes that are being written at `offset`; kept only when they continue what was hashed. */
  append(data: Uint8Array, offset: number): void {
    if (offset !== this.#hashed) return;
    this.#hash.update(data);
    this.#hashed += data.length;
  }

  truncate(offset: number): void {
    if (offset >= this.#hashed) return;
    this.#hash = createHash('sha256');
    this.#hashed = 0;
  }

  /** Digest of the first `size` bytes. */
  async digest(size: number): Promise<Digest> {
    this.truncate(size);
    this.#hashed += await feed(this.#hash, this.#file, this.#hashed, size);
    return `sha256:${this.#hash.copy().digest('hex')}` as Digest;
  }
}

/** Hashes a whole file again, for a digest of another algorithm than the running one. */
export async function hashFile(file: FileHandle, algorithm: 'sha512', size: number): Promise<Digest> {
  const hash = createHash(algorithm);
  await feed(hash, file, 0, size);
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}

async function feed(hash: Hash, file: FileHandle, from: number, to: number): Promise<number> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(0, to - from)));
  let position = from;
  while (position < to) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, to - position), position);
    if (bytesRead === 0) throw new Error(`file ends at ${position} bytes, expected ${to}`);
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return position - from;
}
