import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { aborted } from '../../errors/error.ts';
import type { Digest, DigestAlgorithm } from '../../oci/digest.ts';
import type { HashThread } from './hash-thread.ts';

/** Smaller writes are hashed at once: that takes less than the way to the thread and back. */
const inlineBytes = 128 * 1024;
/** So much more is hashed at once for a writer who asks for the digest after each write, and so waits for it anyway. */
const askedInlineBytes = 1 << 20;
/** What the thread hashes in one go; other files take turns. */
const stepBytes = 4 << 20;

/**
 * SHA-256 of the front of a growing file: at once while writes are small, else in a thread that reads behind the writer.
 * What was there before is read only when somebody asks or writes on.
 */
export class RunningHash {
  readonly #file: FileHandle;
  readonly #thread: HashThread;
  #inline: Hash | undefined = createHash('sha256');
  /** What the file is called in the thread; another number after bytes were dropped. */
  #number = 0;
  #hashed = 0;
  #hex = '';
  #written = 0;
  #following: Promise<void> | undefined;
  #closed = false;
  /** The digest was asked for since the last write. */
  #asked = false;

  constructor(file: FileHandle, thread: HashThread) {
    this.#file = file;
    this.#thread = thread;
  }

  /** Bytes that are, or are being, put into the file at `offset`. */
  append(data: Uint8Array, offset: number): void {
    const asked = this.#asked;
    this.#asked = false;
    this.#written = offset + data.length;
    const atOnce = asked ? askedInlineBytes : inlineBytes;
    if (this.#inline !== undefined && offset === this.#hashed && data.length <= atOnce) {
      this.#inline.update(data);
      this.#hashed = this.#written;
    } else this.#follow();
  }

  /** Somebody else wrote up to there. */
  grewTo(offset: number): void {
    this.#written = offset;
    this.#follow();
  }

  truncate(offset: number): void {
    this.#written = Math.min(this.#written, offset);
    if (offset < this.#hashed || this.#following !== undefined) this.#restart(createHash('sha256'));
  }

  /** Digest of the first `size` bytes. */
  async digest(size: number, algorithm: DigestAlgorithm = 'sha256'): Promise<Digest> {
    this.#asked = true;
    if (algorithm !== 'sha256') return this.#digestAnew(size, algorithm);
    if (this.#inline !== undefined && this.#hashed === size)
      return `sha256:${this.#inline.copy().digest('hex')}` as Digest;
    this.#written = size;
    while (this.#hashed !== size || this.#hex === '') {
      if (this.#closed) throw aborted('the file was closed');
      this.#follow();
      await this.#following;
    }
    return `sha256:${this.#hex}` as Digest;
  }

  /** Waits until the thread has let go of the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#following?.catch(() => {});
    this.#thread.drop(this.#number);
  }

  #restart(inline: Hash | undefined): void {
    this.#thread.drop(this.#number);
    this.#number = this.#thread.newFile();
    this.#inline = inline;
    this.#hashed = 0;
    this.#hex = '';
  }

  #follow(): void {
    if (this.#inline !== undefined || this.#written < this.#hashed) this.#restart(undefined);
    if (this.#following !== undefined) return;
    this.#following = this.#catchUp().finally(() => {
      this.#following = undefined;
    });
    this.#following.catch(() => {}); // whoever asks for the digest meets it
  }

  async #catchUp(): Promise<void> {
    do {
      const number = this.#number;
      const size = Math.min(this.#written, this.#hashed + stepBytes);
      const hex = await this.#ask(number, size, 'sha256');
      if (this.#number === number) [this.#hashed, this.#hex] = [size, hex];
    } while (this.#hashed < this.#written && !this.#closed && this.#inline === undefined);
  }

  #ask(file: number, size: number, algorithm: DigestAlgorithm): Promise<string> {
    return this.#thread.digest({ file, fd: this.#file.fd, size, algorithm });
  }

  async #digestAnew(size: number, algorithm: DigestAlgorithm): Promise<Digest> {
    const file = this.#thread.newFile();
    try {
      return `${algorithm}:${await this.#ask(file, size, algorithm)}` as Digest;
    } finally {
      this.#thread.drop(file);
    }
  }
}
