import { closeSync, openSync } from 'node:fs';
import { type GrowingSource, giveUp, growTo, isGivenUp, newGrown } from '../layers/growing-source.ts';

/** Somebody who reads a blob while it comes. Disposing closes the file: after the work on `source` has ended. */
export interface Follower extends Disposable {
  readonly source: GrowingSource;
  /** What was read is not the front of the blob, or no more will come. */
  readonly misled: boolean;
}

/**
 * The file of a blob that is being downloaded, for those who work on its bytes before all are here. Nothing of it is
 * verified: what is made of it counts only once the blob is in the content store. Disposing ends it.
 */
export class GrowingBlob implements Disposable {
  readonly #fd: number;
  readonly #sizeBytes: number;
  readonly #followers = new Set<GrowingSource>();
  #bytes: number;
  #over = false;

  /** `fd` stays the caller's, who closes it as soon as the blob is whole; its first `bytes` bytes are there. */
  constructor(fd: number, bytes: number, sizeBytes: number) {
    this.#fd = openAgain(fd);
    this.#bytes = bytes;
    this.#sizeBytes = sizeBytes;
  }

  /** Bytes that are in the file now. */
  grewTo(bytes: number): void {
    this.#bytes = bytes;
    for (const { grown } of this.#followers) growTo(grown, bytes);
  }

  /** Reads from the front, until `signal` fires. Undefined when nothing is growing any more. */
  follow(signal: AbortSignal): Follower | undefined {
    if (this.#over) return undefined;
    const fd = openAgain(this.#fd);
    const source = { fd, sizeBytes: this.#sizeBytes, grown: newGrown(this.#bytes) };
    const onAbort = () => giveUp(source.grown);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#followers.add(source);
    return {
      source,
      get misled() {
        return isGivenUp(source.grown);
      },
      [Symbol.dispose]: () => {
        if (!this.#followers.delete(source)) return;
        signal.removeEventListener('abort', onAbort);
        closeSync(fd);
      },
    };
  }

  /** What is in the file is wrong, or no more of it comes. Those who read it fail. */
  giveUp(): void {
    this.#over = true;
    for (const { grown } of this.#followers) giveUp(grown);
  }

  [Symbol.dispose](): void {
    if (this.#bytes < this.#sizeBytes) this.giveUp();
    this.#over = true;
    closeSync(this.#fd);
  }
}

const openAgain = (fd: number): number => openSync(`/proc/self/fd/${fd}`, 'r');
