import { addressOf, type LibraryCall, openLibrary } from './ffi.ts';

/** Intel's igzip (libisal, Debian's `libisal2`): inflates for little more than half of zlib's CPU time. x86-64 only here. */

/** Offsets in `struct inflate_state` of libisal.so.2; checked by a first inflation, see {@link loadIgzip}. */
const at = { nextOut: 0, availOut: 8, nextIn: 16, availIn: 32, blockState: 21_160, format: 21_172 };
/** The structure has 87,368 bytes; some more, should a later version have grown at its end. */
const stateBytes = 128 * 1024;
const formatGzip = 1;
const stateFinished = 5;

const errors: Readonly<Record<number, string>> = {
  [-1]: 'invalid block',
  [-2]: 'invalid symbol',
  [-3]: 'invalid distance too far back',
  [-4]: 'incorrect header check',
  [-5]: 'unknown compression method',
  [-6]: 'incorrect data check',
};

/** Why a stream cannot be inflated. */
export class IgzipError extends Error {
  override readonly name = 'IgzipError';
}

interface Igzip {
  readonly init: LibraryCall<readonly ['void *']>;
  readonly inflate: LibraryCall<readonly ['void *']>;
}

/** Inflates one gzip member after another. Input and output are given piece by piece; both must live until used. */
export class IgzipInflater {
  readonly #igzip: Igzip;
  readonly #state = Buffer.alloc(stateBytes);
  #input: Buffer = Buffer.alloc(0);

  constructor(igzip: Igzip) {
    this.#igzip = igzip;
    this.reset();
  }

  /** Begins a new member; what is left of the input stays. */
  reset(): void {
    const left = this.rest();
    this.#igzip.init(this.#state);
    this.#state.writeUInt32LE(formatGzip, at.format);
    this.feed(left);
  }

  /** Input that is not used yet. */
  rest(): Buffer {
    return this.#input.subarray(this.#input.length - this.#state.readUInt32LE(at.availIn));
  }

  /** The next input. What was left of the last is lost. */
  feed(input: Buffer): void {
    this.#input = input;
    this.#state.writeBigUInt64LE(addressOf(input), at.nextIn);
    this.#state.writeUInt32LE(input.length, at.availIn);
  }

  /** The member's checksum was read and is right. */
  get finished(): boolean {
    return this.#state.readUInt32LE(at.blockState) === stateFinished;
  }

  /** Inflates until the member or the input ends or `output` is full. Returns the bytes it wrote. @throws IgzipError */
  inflate(output: Buffer): number {
    this.#aim(output);
    return this.#written(output, this.#igzip.inflate(this.#state));
  }

  /** The same on a thread of libuv's pool; nothing else may be called meanwhile. */
  async inflateElsewhere(output: Buffer): Promise<number> {
    this.#aim(output);
    return this.#written(output, await this.#igzip.inflate.wait(this.#state));
  }

  #aim(output: Buffer): void {
    this.#state.writeBigUInt64LE(addressOf(output), at.nextOut);
    this.#state.writeUInt32LE(output.length, at.availOut);
  }

  #written(output: Buffer, result: number): number {
    if (result !== 0) throw new IgzipError(errors[result] ?? `error ${result}`);
    return output.length - this.#state.readUInt32LE(at.availOut);
  }
}

let loaded: Igzip | null | undefined;

/** Makes an inflater; undefined where libisal is not installed, or is not the one this was written for. */
export function openIgzip(): IgzipInflater | undefined {
  if (loaded === undefined) loaded = loadIgzip() ?? null;
  return loaded === null ? undefined : new IgzipInflater(loaded);
}

function loadIgzip(): Igzip | undefined {
  if (process.arch !== 'x64') return undefined;
  const bind = openLibrary('libisal.so.2');
  if (bind === undefined) return undefined;
  const igzip = { init: bind('isal_inflate_init', ['void *']), inflate: bind('isal_inflate', ['void *']) };
  return understands(igzip) ? igzip : undefined;
}

/** Whether the offsets are right: a member of 300 bytes comes out whole, and one whose checksum is wrong is told. */
function understands(igzip: Igzip): boolean {
  const right = new IgzipInflater(igzip);
  right.feed(sample);
  const output = Buffer.alloc(400);
  if (right.inflate(output) !== 300 || !right.finished || right.rest().length !== 0) return false;
  if (!output.subarray(0, 300).equals(Buffer.alloc(300, 'ab'))) return false;
  const wrong = new IgzipInflater(igzip);
  wrong.feed(Buffer.from(sample).fill(0, sample.length - 8, sample.length - 4));
  try {
    wrong.inflate(output);
    return false;
  } catch (error) {
    return error instanceof IgzipError;
  }
}

const sample = Buffer.from('H4sIAAAAAAAAA0tMShyFREIA+qO3EiwBAAA=', 'base64');
