import { addressOf, type LibraryCall, openLibrary } from './ffi.ts';

/**
 * The zstd that is inside of Node, which its program shows to others, without a stream between that makes a buffer for each
 * piece. Not Debian's libzstd: its functions would call Node's, of another version.
 */

const parameterWindowLogMax = 100;
/** From here on `ZSTD_d_windowLogMax` is part of the stable API. */
const oldestVersion = 1_04_00;
/** `ZSTD_inBuffer` and `ZSTD_outBuffer`: where, how many bytes, how many of them are done. */
const at = { address: 0, size: 8, done: 16 };
const structBytes = 24;

/** Why a stream cannot be inflated. */
export class ZstdError extends Error {
  override readonly name = 'ZstdError';
}

interface Zstd {
  readonly create: LibraryCall<readonly []>;
  readonly free: LibraryCall<readonly ['uint64']>;
  readonly set: LibraryCall<readonly ['uint64', 'int', 'int']>;
  readonly inflate: LibraryCall<readonly ['uint64', 'void *', 'void *']>;
  readonly explain: LibraryCall<readonly ['int64'], string>;
}

/** Inflates one frame after another. Input and output are given piece by piece; both must live until used. */
export class ZstdInflater implements Disposable {
  readonly #zstd: Zstd;
  readonly #stream: number;
  readonly #in = Buffer.alloc(structBytes);
  readonly #out = Buffer.alloc(structBytes);
  #input: Buffer = Buffer.alloc(0);
  #left = 0;

  /** `windowLog`: windows larger than two to that power are refused. */
  constructor(zstd: Zstd, windowLog: number) {
    this.#zstd = zstd;
    this.#stream = zstd.create();
    if (this.#stream === 0) throw new ZstdError('no memory for it');
    zstd.set(this.#stream, parameterWindowLogMax, windowLog);
  }

  /** The next input, once nothing is left of the last. */
  feed(input: Buffer): void {
    this.#input = input;
    this.#in.writeBigUInt64LE(addressOf(input), at.address);
    this.#in.writeBigUInt64LE(BigInt(input.length), at.size);
    this.#in.writeBigUInt64LE(0n, at.done);
  }

  /** All input is used. */
  get hungry(): boolean {
    return this.#in.readBigUInt64LE(at.done) === BigInt(this.#input.length);
  }

  /** A frame has just ended, and all of it came out; or nothing has begun. */
  get finished(): boolean {
    return this.#left === 0;
  }

  /** Inflates until a frame or the input ends or `output` is full. Returns the bytes it wrote. @throws ZstdError */
  inflate(output: Buffer): number {
    this.#aim(output);
    return this.#written(this.#zstd.inflate(this.#stream, this.#out, this.#in));
  }

  /** The same on a thread of libuv's pool; nothing else may be called meanwhile. */
  async inflateElsewhere(output: Buffer): Promise<number> {
    this.#aim(output);
    return this.#written(await this.#zstd.inflate.wait(this.#stream, this.#out, this.#in));
  }

  #aim(output: Buffer): void {
    this.#out.writeBigUInt64LE(addressOf(output), at.address);
    this.#out.writeBigUInt64LE(BigInt(output.length), at.size);
    this.#out.writeBigUInt64LE(0n, at.done);
  }

  #written(result: number): number {
    if (result < 0) throw new ZstdError(this.#zstd.explain(result));
    this.#left = result;
    return Number(this.#out.readBigUInt64LE(at.done));
  }

  [Symbol.dispose](): void {
    this.#zstd.free(this.#stream);
  }
}

let loaded: Zstd | null | undefined;

/** Makes an inflater; undefined where this Node does not show its zstd. */
export function openZstd(windowLog: number): ZstdInflater | undefined {
  if (loaded === undefined) loaded = loadZstd() ?? null;
  return loaded === null ? undefined : new ZstdInflater(loaded, windowLog);
}

function loadZstd(): Zstd | undefined {
  const bind = openLibrary(null);
  try {
    if (bind === undefined || bind('ZSTD_versionNumber', [])() < oldestVersion) return undefined;
    return {
      create: bind('ZSTD_createDCtx', [], 'uint64'),
      free: bind('ZSTD_freeDCtx', ['uint64'], 'int64'),
      set: bind('ZSTD_DCtx_setParameter', ['uint64', 'int', 'int'], 'int64'),
      inflate: bind('ZSTD_decompressStream', ['uint64', 'void *', 'void *'], 'int64'),
      explain: bind('ZSTD_getErrorName', ['int64'], 'const char *'),
    };
  } catch {
    return undefined;
  }
}
