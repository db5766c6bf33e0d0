import { ZstdError, type ZstdInflater } from '../sys/zstd.ts';
import { nextPiece, readAhead } from './read-ahead.ts';

/** So much of a frame is inflated at once: a file of a zstd:chunked layer is one, and not worth another thread. */
const smallBytes = 64 * 1024;

/**
 * Inflates zstd frames one after the other, skippable ones to nothing. The next piece is inflated on another thread while
 * the caller works on one, which is valid until the next is asked for. @throws ZstdError
 */
export async function* unzstd(source: AsyncIterator<Buffer>, inflater: ZstdInflater): AsyncGenerator<Buffer> {
  const frames = new FrameReader(source, inflater);
  yield* readAhead((output) => frames.fill(output));
}

class FrameReader {
  readonly #source: AsyncIterator<Buffer>;
  readonly #inflater: ZstdInflater;
  /** Nothing more comes out before something is put in. */
  #hungry = true;
  #done = false;

  constructor(source: AsyncIterator<Buffer>, inflater: ZstdInflater) {
    this.#source = source;
    this.#inflater = inflater;
  }

  /** As much of `output` as there is; empty at the end. */
  async fill(output: Buffer): Promise<Buffer> {
    let used = 0;
    while (used < output.length && !this.#done) {
      if (this.#hungry) await this.#feed();
      else used += await this.#inflate(output.subarray(used));
    }
    return output.subarray(0, used);
  }

  async #inflate(output: Buffer): Promise<number> {
    const inflater = this.#inflater;
    const fresh = inflater.finished;
    const room = fresh ? output.subarray(0, smallBytes) : output;
    const count = fresh ? inflater.inflate(room) : await inflater.inflateElsewhere(room);
    this.#hungry = inflater.hungry && (count < room.length || inflater.finished);
    return count;
  }

  async #feed(): Promise<void> {
    const input = await nextPiece(this.#source);
    if (input !== undefined) this.#inflater.feed(input);
    else if (!this.#inflater.finished) throw new ZstdError('unexpected end of file');
    else this.#done = true;
    this.#hungry = this.#done;
  }
}
