import type { FdLike } from './fd.ts';
import { startWriteBack } from './files.ts';

/** So much is written before the disk is asked to begin with it. */
const enoughBytes = 8 << 20;

/**
 * Has the disk begin with what is written forward through a file, so that a later fsync(2) waits less. It promises nothing,
 * and asks for one piece at a time, as asking takes as long as the disk's queue is full.
 */
export class WriteBack {
  readonly #fd: FdLike;
  /** Up to here the disk was asked to begin. */
  #asked: number;
  #asking: Promise<void> | undefined;

  /** `from`: where new bytes begin. Default 0. */
  constructor(fd: FdLike, from = 0) {
    this.#fd = fd;
    this.#asked = from;
  }

  /** All before `to` is written; `last`: no more comes, so whatever there is, is enough. Default false. */
  grewTo(to: number, { last = false }: { readonly last?: boolean } = {}): void {
    const from = this.#asked;
    if (this.#asking !== undefined || to <= from || (to - from < enoughBytes && !last)) return;
    this.#asked = to;
    this.#asking = startWriteBack(this.#fd, from, to - from).finally(() => {
      this.#asking = undefined;
    });
  }

  /** Until nobody uses the descriptor: only then it may be closed. */
  async settled(): Promise<void> {
    await this.#asking;
  }
}
