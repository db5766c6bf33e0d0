import { Readable } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { codeOf, invalidArgument, messageOf, resourceExhausted } from '../errors/error.ts';
import type { LayerCompression } from '../oci/media-types.ts';
import { IgzipError, openIgzip } from '../sys/igzip.ts';
import { openZstd, ZstdError } from '../sys/zstd.ts';
import { gunzip } from './gunzip.ts';
import { defaultLayerLimits, type InflateLimits } from './limits.ts';
import { compressionOf, sniffCompression } from './media-type.ts';
import type { Spare } from './read-ahead.ts';
import { unzstd } from './unzstd.ts';

const outputChunkBytes = 1 << 20;
const readAheadBytes = 2 << 20;
/** 128 MiB, what `zstd` itself allows without `--long=31`. */
const zstdWindowLog = 27;

/**
 * The uncompressed bytes of a layer: gzip (any number of members, zero padding after them; other trailing bytes are
 * an error), zstd (any number of frames, skippable ones too, windows to 128 MiB) or plain. Inflating runs ahead on
 * libuv's pool while the caller works on a chunk, which is valid until the next; on the caller's own thread while nothing is
 * to `spare` (default: there always is). gzip goes through igzip where that is
 * installed and zstd straight through Node's own (`libraries`, default true), else through Node's streams. Pieces of `source` need be valid until the next only. The first bytes must agree with the media type.
 * @throws invalid_argument (corrupt, truncated, other compression), resource_exhausted (beyond `limits`)
 */
export async function* decompress(
  source: AsyncIterable<Buffer>,
  mediaType: string,
  limits: InflateLimits = defaultLayerLimits,
  { libraries = true, spare = () => true }: { readonly libraries?: boolean; readonly spare?: Spare } = {},
): AsyncGenerator<Buffer> {
  const counted = { bytesIn: 0 };
  const pieces = count(source, counted);
  try {
    const { head, rest } = await peek(pieces);
    const compression = agreed(compressionOf(mediaType), sniffCompression(head), mediaType);
    let bytesOut = 0;
    for await (const chunk of inflate(rest, compression, libraries, spare)) {
      bytesOut += chunk.length;
      checkBudget(bytesOut, counted.bytesIn, limits);
      yield chunk;
    }
  } finally {
    // Also where its first bytes were refused: a file that is left to the collector ends the thread.
    await pieces.return(undefined);
  }
}

function agreed(
  declared: LayerCompression | undefined,
  found: LayerCompression,
  mediaType: string,
): LayerCompression {
  if (declared === undefined || declared === found) return found;
  throw invalidArgument(
    `layer is ${found === 'none' ? 'not compressed' : found} but its media type is ${mediaType}`,
  );
}

function checkBudget(bytesOut: number, bytesIn: number, limits: InflateLimits): void {
  if (bytesOut > limits.uncompressedBytes)
    throw resourceExhausted(`layer is larger than ${limits.uncompressedBytes} bytes uncompressed`);
  if (bytesOut > limits.ratioFreeBytes && bytesOut > bytesIn * limits.ratio)
    throw resourceExhausted(`layer inflates to more than ${limits.ratio} times its size`);
}

async function* count(source: AsyncIterable<Buffer>, counted: { bytesIn: number }): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    counted.bytesIn += chunk.length;
    yield chunk;
  }
}

/** The first bytes (4, fewer only at the end) and a stream of everything including them. */
async function peek(source: AsyncGenerator<Buffer>): Promise<{ head: Buffer; rest: AsyncGenerator<Buffer> }> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 4) {
    const { done, value } = await source.next();
    if (done) break;
    // A piece is gone when the next is asked for, so one that is too short is copied.
    head = head.length === 0 && value.length >= 4 ? value : Buffer.concat([head, value]);
  }
  return { head, rest: startingWith(head, source) };
}

async function* startingWith(head: Buffer, source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  yield* source;
}

async function* inflate(
  source: AsyncGenerator<Buffer>,
  compression: LayerCompression,
  libraries: boolean,
  spare: Spare,
): AsyncGenerator<Buffer> {
  if (compression === 'none') {
    yield* source;
    return;
  }
  const gzip = libraries && compression === 'gzip' ? openIgzip() : undefined;
  using zstd = libraries && compression === 'zstd' ? openZstd(zstdWindowLog) : undefined;
  try {
    if (gzip !== undefined) yield* gunzip(source, gzip, spare);
    else if (zstd !== undefined) yield* unzstd(source, zstd, spare);
    else yield* throughZlib(source, compression);
  } catch (error) {
    throw isCorrupt(error)
      ? invalidArgument(`corrupt ${compression} layer: ${messageOf(error)}`, error)
      : error;
  }
}

async function* throughZlib(
  source: AsyncGenerator<Buffer>,
  compression: 'gzip' | 'zstd',
): AsyncGenerator<Buffer> {
  const inflater = compression === 'gzip' ? createGunzip(buffering) : unzstdStream();
  const input = Readable.from(copies(source), { objectMode: true, highWaterMark: 2 });
  input.on('error', (error) => inflater.destroy(error));
  try {
    yield* input.pipe(inflater) as AsyncIterable<Buffer>;
  } finally {
    input.destroy();
    inflater.destroy();
  }
}

/** The stream reads ahead, so it cannot have pieces that are valid for a while only. */
async function* copies(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of source) yield Buffer.from(piece);
}

// The stream options pass through zlib's own to the Transform underneath, though their types do not say so.
const buffering = { chunkSize: outputChunkBytes, highWaterMark: readAheadBytes };
const unzstdStream = () =>
  createZstdDecompress({
    ...buffering,
    params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog },
  });

const isCorrupt = (error: unknown): boolean =>
  error instanceof IgzipError ||
  error instanceof ZstdError ||
  /^(Z_|ZSTD_|ERR_Z|ERR_TRAILING)/.test(codeOf(error) ?? '');
