import { ZstdError, type ZstdInflater } from '../sys/zstd.ts';
import { nextPiece, readAhead, type Spare } from './read-ahead.ts';

/** So much of a frame is inflated at once: a file of a zstd:chunked layer is one, and not worth another thread. */
const smallBytes = 64 * 1024;

/**
 * Inflates zstd frames one after the other, skippable ones to nothing. Pieces come as {@link readAhead} says.
 * @throws ZstdError
 */
export async function* unzstd(
  source: AsyncIterator<Buffer>,
  inflater: ZstdInflater,
  spare: Spare,
): AsyncGenerator<Buffer> {
  const frames = new FrameReader(source, inflater);
  yield* readAhead((output, elsewhere) => frames.fill(output, elsewhere), spare);
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
  async fill(output: Buffer, elsewhere: boolean): Promise<Buffer> {
    let used = 0;
    while (used < output.length && !this.#done) {
      if (this.#hungry) await this.#feed();
      else used += await this.#inflate(output.subarray(used), elsewhere);
    }
    return output.subarray(0, used);
  }

  async #inflate(output: Buffer, elsewhere: boolean): Promise<number> {
    const inflater = this.#inflater;
    const fresh = inflater.finished;
    const room = fresh ? output.subarray(0, smallBytes) : output;
    const count = elsewhere && !fresh ? await inflater.inflateElsewhere(room) : inflater.inflate(room);
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
