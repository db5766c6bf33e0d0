import { resourceExhausted } from '../../errors/error.ts';
import type { SparseRun } from '../tar-entry.ts';
import { badTar } from '../tar-numbers.ts';
import { blockBytes, dataAt } from './format.ts';

/** A sparse file: where its runs are in it, and where in the tar their bytes begin. */
export interface SparseFile {
  readonly runs: readonly SparseRun[];
  readonly sizeBytes: number;
  /** Of the first stored byte, in the uncompressed tar. */
  readonly position: number;
}

/** Where the chunks of a sparse file are: holes, ranges of blocks in the tar, or copies. */
export interface ChunkMap {
  readonly chunkBytes: number;
  /** 32 bits a chunk. */
  readonly tableBytes: number;
  /** Chunks that are no range of blocks in the tar and get blocks of their own. */
  readonly copies: number;
}

/** ext4's largest file. */
const maxSparseBytes = 16 * 2 ** 40;
const maxTableBytes = 64 * 2 ** 20;
const maxCost = 2 ** 40;

/**
 * Chooses the size of chunk for which table and copies together are smallest. EROFS has one size for a whole file:
 * small chunks make a long table, large ones more bytes to be copied.
 * @throws invalid_argument when the file is larger than any file system would take, resource_exhausted
 */
export function planChunks(file: SparseFile): ChunkMap {
  if (file.sizeBytes > maxSparseBytes) throw badTar(`a sparse file of ${file.sizeBytes} bytes`);
  let best: ChunkMap | undefined;
  let bestCost = maxCost;
  for (let chunkBytes = blockBytes; chunkBytes <= maxSparseBytes / 16; chunkBytes *= 2) {
    const tableBytes = 4 * Math.ceil(file.sizeBytes / chunkBytes);
    if (tableBytes > maxTableBytes) continue;
    const copies = countCopies(file, chunkBytes);
    const cost = tableBytes + copies * chunkBytes;
    if (cost < bestCost) [best, bestCost] = [{ chunkBytes, tableBytes, copies }, cost];
  }
  if (best === undefined) throw resourceExhausted('a sparse file has too many runs too far apart');
  return best;
}

/** A run in chunks: those it touches, and of those the ones that are a range of blocks in the tar. */
interface RunChunks {
  readonly first: number;
  readonly end: number;
  readonly wholeFirst: number;
  readonly wholeEnd: number;
  /** Where the first byte of chunk 0 would be in the layer file, if the run began there. */
  readonly base: number;
  readonly run: SparseRun;
}

function* runChunks(file: SparseFile, chunkBytes: number): Iterable<RunChunks> {
  let position = file.position;
  for (const run of file.runs) {
    const stop = run.offset + run.length;
    const first = Math.floor(run.offset / chunkBytes);
    const end = Math.ceil(stop / chunkBytes);
    const wholeFirst = Math.ceil(run.offset / chunkBytes);
    const base = dataAt + position - run.offset;
    const aligned = base % blockBytes === 0;
    const wholeEnd = !aligned ? wholeFirst : stop === file.sizeBytes ? end : Math.floor(stop / chunkBytes);
    yield { first, end, wholeFirst, wholeEnd: Math.max(wholeFirst, wholeEnd), base, run };
    position += run.length;
  }
}

function countCopies(file: SparseFile, chunkBytes: number): number {
  let copies = 0;
  let lastCopied = -1;
  for (const { first, end, wholeFirst, wholeEnd } of runChunks(file, chunkBytes)) {
    copies += end - first - (wholeEnd - wholeFirst);
    if (first === lastCopied) copies--;
    lastCopied = wholeEnd === end && wholeFirst < wholeEnd ? lastCopied : end - 1;
  }
  return copies;
}

/** A piece of the tar that must be copied, by where it is in the layer file and where it goes. */
export interface SparseCopy {
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** The table of a file (for each chunk its first block, all ones for a hole), and what to copy from `copiesAt` on. */
export function mapChunks(
  file: SparseFile,
  map: ChunkMap,
  copiesAt: number,
): { table: Buffer; copies: SparseCopy[] } {
  const { chunkBytes } = map;
  const table = Buffer.alloc(map.tableBytes, 0xff);
  const copies: SparseCopy[] = [];
  let copied = -1;
  let to = copiesAt - chunkBytes;
  for (const { first, end, wholeFirst, wholeEnd, base, run } of runChunks(file, chunkBytes))
    for (let chunk = first; chunk < end; chunk++) {
      const start = chunk * chunkBytes;
      if (chunk >= wholeFirst && chunk < wholeEnd) {
        table.writeUInt32LE((base + start) / blockBytes, 4 * chunk);
        continue;
      }
      if (chunk !== copied) to += chunkBytes;
      copied = chunk;
      table.writeUInt32LE(to / blockBytes, 4 * chunk);
      const from = Math.max(start, run.offset);
      const length = Math.min(start + chunkBytes, run.offset + run.length) - from;
      copies.push({ from: base + from, to: to + from - start, length });
    }
  return { table, copies };
}
