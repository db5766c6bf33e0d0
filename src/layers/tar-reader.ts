import { maxPaxBytes, type PaxRecords, parsePax } from './pax.ts';
import type { SparseRun, TarEntry, TarSink } from './tar-entry.ts';
import { blockSize, isZeroBlock, parseHeader, type RawHeader } from './tar-header.ts';
import { maxNameBytes, mergeEntry } from './tar-merge.ts';
import { badTar, parseNumber, parseString } from './tar-numbers.ts';
import {
  checkRuns,
  gnuExtension,
  gnuHeader,
  maxGnuExtensions,
  parseGnuRuns,
  parsePaxMap,
  paxSparseVersion,
  SparseMapReader,
} from './tar-sparse.ts';

/**
 * Reads a tar as it is pushed in, whatever the size of the chunks: ustar, PAX, GNU long names, GNU sparse (old, 0.0,
 * 0.1, 1.0), star and v7. Synchronous and bounded: it keeps one block and at most 1 MiB of extensions, file bytes
 * pass through uncopied. The archive ends at two zero blocks (what follows is ignored, as GNU tar and Go do) or at the
 * end of input between members. PAX global headers are checked but not applied, as in containerd, Docker and umoci,
 * so that one digest means the same tree everywhere.
 */
export class TarReader {
  readonly #sink: TarSink;
  /** What to do with the next `#need` bytes, which are collected first. */
  #collected: (bytes: Buffer) => void = this.#onHeader;
  #block = Buffer.allocUnsafe(blockSize);
  #need = blockSize;
  #have = 0;
  /** Stored bytes of the current member still to come, then padding still to skip. */
  #stored = 0;
  #padding = 0;
  #inFile = false;
  #runs: readonly SparseRun[] | undefined;
  #runIndex = 0;
  #offset = 0;
  #runLeft = 0;
  #zeroBlocks = 0;
  #ended = false;
  #betweenMembers = true;
  /** Where the current chunk begins in the archive, and where what was collected last ends. */
  #base = 0;
  #position = 0;
  #pax: PaxRecords | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** True once the end of the archive was seen. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Feeds the next bytes; they are not kept. @throws invalid_argument when malformed, and what the sink throws */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#ended; ) {
      if (this.#stored > 0) at = this.#passData(chunk, at);
      else if (this.#padding > 0) at = this.#skipPadding(chunk, at);
      else at = this.#collect(chunk, at);
    }
    this.#base += chunk.length;
  }

  /**
   * Says that no more bytes come. The last member's padding and the end blocks may be missing, as some writers leave
   * them out (umoci insert). @throws invalid_argument when the archive stops inside a member
   */
  finish(): void {
    if (this.#ended) return;
    const clean = this.#betweenMembers && this.#have === 0 && this.#stored === 0;
    if (!clean) throw badTar('unexpected end of archive');
  }

  #passData(chunk: Buffer, at: number): number {
    if (this.#runs !== undefined && this.#runLeft === 0) this.#nextRun();
    const limit = this.#runs === undefined ? this.#stored : this.#runLeft;
    const end = Math.min(chunk.length, at + limit);
    this.#sink.data(chunk.subarray(at, end), this.#offset);
    const count = end - at;
    this.#offset += count;
    this.#stored -= count;
    this.#runLeft -= count;
    if (this.#stored === 0) this.#endFile();
    return end;
  }

  #nextRun(): void {
    const run = this.#runs?.[this.#runIndex++];
    if (run === undefined) throw badTar('sparse runs and stored bytes differ');
    this.#offset = run.offset;
    this.#runLeft = run.length;
  }

  #skipPadding(chunk: Buffer, at: number): number {
    const count = Math.min(chunk.length - at, this.#padding);
    this.#padding -= count;
    return at + count;
  }

  /** Gathers `#need` bytes, without a copy when the chunk has them all, and hands them on. */
  #collect(chunk: Buffer, at: number): number {
    const count = Math.min(chunk.length - at, this.#need - this.#have);
    this.#position = this.#base + at + count;
    if (this.#have === 0 && count === this.#need) {
      this.#collected(chunk.subarray(at, at + count));
      return at + count;
    }
    chunk.copy(this.#block, this.#have, at, at + count);
    this.#have += count;
    if (this.#have === this.#need) {
      this.#have = 0;
      this.#collected(this.#block.subarray(0, this.#need));
    }
    return at + count;
  }

  #expect(bytes: number, then: (bytes: Buffer) => void): void {
    this.#need = bytes;
    this.#collected = then;
    if (this.#block.length < bytes) this.#block = Buffer.allocUnsafe(bytes);
  }

  #onHeader(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (++this.#zeroBlocks === 2) this.#ended = true;
      return;
    }
    if (this.#zeroBlocks > 0) throw badTar('a zero block inside the archive');
    const header = parseHeader(block);
    if (header.sizeBytes < 0) throw badTar('size is negative');
    this.#betweenMembers = false;
    if (isMeta(header.flag)) this.#startMeta(header);
    else if (header.flag === 'S') this.#startGnuSparse(header, block);
    else this.#startMember(header);
  }

  #startMeta(header: RawHeader): void {
    const limit = header.flag === 'L' || header.flag === 'K' ? maxNameBytes + blockSize : maxPaxBytes;
    if (header.sizeBytes > limit) throw badTar(`an extended header of ${header.sizeBytes} bytes`);
    if (header.sizeBytes === 0) {
      this.#onMeta(header, Buffer.alloc(0));
      return;
    }
    this.#expect(padded(header.sizeBytes), (bytes) => {
      this.#expect(blockSize, this.#onHeader);
      this.#onMeta(header, bytes.subarray(0, header.sizeBytes));
    });
  }

  #onMeta(header: RawHeader, bytes: Buffer): void {
    if (header.flag === 'L') this.#longName = parseString(bytes, 0, bytes.length);
    else if (header.flag === 'K') this.#longLink = parseString(bytes, 0, bytes.length);
    else if (header.flag === 'x') this.#pax = parsePax(bytes);
    else {
      parsePax(bytes);
      this.#betweenMembers = true;
    }
  }

  #startGnuSparse(header: RawHeader, block: Buffer): void {
    const runs: SparseRun[] = [];
    const realSize = parseNumber(block, gnuHeader.realSize, 12, 'sparse real size');
    parseGnuRuns(block, gnuHeader.runs, gnuHeader.count, runs);
    const done = () => this.#startMember(header, { runs, realSize });
    if (block[gnuHeader.extended] === 0) {
      done();
      return;
    }
    let blocks = 0;
    const onExtension = (extension: Buffer) => {
      if (++blocks > maxGnuExtensions) throw badTar('sparse map is too large');
      parseGnuRuns(extension, gnuExtension.runs, gnuExtension.count, runs);
      if (extension[gnuExtension.extended] !== 0) return;
      this.#expect(blockSize, this.#onHeader);
      done();
    };
    this.#expect(blockSize, onExtension);
  }

  #startMember(header: RawHeader, gnu?: { runs: SparseRun[]; realSize: number }): void {
    const merged = mergeEntry(header, this.#pax, this.#longName, this.#longLink, gnu?.realSize);
    const records = this.#pax;
    this.#pax = this.#longName = this.#longLink = undefined;
    const version =
      merged.entry.type === 'file' && records !== undefined ? paxSparseVersion(records) : undefined;
    if (gnu !== undefined) this.#startFile(merged.entry, merged.storedBytes, gnu.runs);
    else if (version === '1.0') this.#readPaxMap(merged.entry, merged.storedBytes);
    else if (version === '0' && records)
      this.#startFile(merged.entry, merged.storedBytes, parsePaxMap(records));
    else this.#startFile(merged.entry, merged.storedBytes);
  }

  #readPaxMap(entry: TarEntry, storedBytes: number): void {
    const map = new SparseMapReader();
    this.#expect(blockSize, (block) => {
      const runs = map.push(block);
      if (runs === undefined) return;
      this.#expect(blockSize, this.#onHeader);
      this.#startFile(entry, storedBytes - map.storedBytes, runs);
    });
  }

  #startFile(entry: TarEntry, storedBytes: number, runs?: readonly SparseRun[]): void {
    const sparse = runs === undefined ? undefined : checkRuns(runs, entry.sizeBytes, storedBytes);
    this.#runs = sparse;
    this.#runIndex = 0;
    this.#runLeft = 0;
    this.#offset = 0;
    this.#stored = storedBytes;
    this.#padding = padded(storedBytes) - storedBytes;
    this.#inFile = true;
    this.#sink.entry(sparse === undefined ? entry : { ...entry, sparse }, this.#position);
    if (storedBytes === 0) this.#endFile();
  }

  #endFile(): void {
    if (!this.#inFile) return;
    this.#inFile = false;
    this.#betweenMembers = true;
    this.#sink.end();
  }
}

const padded = (bytes: number): number => Math.ceil(bytes / blockSize) * blockSize;
const isMeta = (flag: string): boolean => flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K';
