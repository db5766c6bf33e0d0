import { IgzipError, type IgzipInflater } from '../sys/igzip.ts';
import { nextPiece, readAhead, type Spare } from './read-ahead.ts';

/** So much of a member is inflated at once: a file of an estargz layer is one, and not worth another thread. */
const smallBytes = 64 * 1024;

/**
 * Inflates gzip members one after the other; zeros may follow the last. Pieces come as {@link readAhead} says.
 * @throws IgzipError
 */
export async function* gunzip(
  source: AsyncIterator<Buffer>,
  inflater: IgzipInflater,
  spare: Spare,
): AsyncGenerator<Buffer> {
  const members = new MemberReader(source, inflater);
  yield* readAhead((output, elsewhere) => members.fill(output, elsewhere), spare);
}

class MemberReader {
  readonly #source: AsyncIterator<Buffer>;
  readonly #inflater: IgzipInflater;
  /** Nothing more comes out before something is put in. */
  #hungry = true;
  /** Nothing of the member came out yet. */
  #fresh = true;
  #done = false;

  constructor(source: AsyncIterator<Buffer>, inflater: IgzipInflater) {
    this.#source = source;
    this.#inflater = inflater;
  }

  /** As much of `output` as there is; empty at the end. */
  async fill(output: Buffer, elsewhere: boolean): Promise<Buffer> {
    let used = 0;
    while (used < output.length && !this.#done) {
      if (this.#inflater.finished) await this.#nextMember();
      else if (this.#hungry) await this.#feed();
      else used += await this.#inflate(output.subarray(used), elsewhere);
    }
    return output.subarray(0, used);
  }

  async #inflate(output: Buffer, elsewhere: boolean): Promise<number> {
    const room = this.#fresh ? output.subarray(0, smallBytes) : output;
    const there = elsewhere && !this.#fresh;
    const count = there ? await this.#inflater.inflateElsewhere(room) : this.#inflater.inflate(room);
    this.#hungry = count < room.length;
    this.#fresh &&= count === 0;
    return count;
  }

  async #feed(): Promise<void> {
    const input = await this.#read();
    if (input === undefined) throw new IgzipError('unexpected end of file');
    this.#inflater.feed(input);
    this.#hungry = false;
  }

  async #nextMember(): Promise<void> {
    let rest: Buffer | undefined = this.#inflater.rest();
    if (rest.length === 0) rest = await this.#read();
    if (rest === undefined) this.#done = true;
    else if (rest[0] !== 0) {
      this.#inflater.feed(rest);
      this.#inflater.reset();
      this.#hungry = false;
      this.#fresh = true;
    } else await this.#skipZeros(rest);
  }

  async #skipZeros(first: Buffer): Promise<void> {
    for (let rest: Buffer | undefined = first; rest !== undefined; rest = await this.#read())
      if (rest.some((byte) => byte !== 0)) throw new IgzipError('unexpected bytes after the end');
    this.#done = true;
  }

  #read(): Promise<Buffer | undefined> {
    return nextPiece(this.#source);
  }
}
