import { maxPaxBytes, type PaxRecords } from './pax.ts';
import type { SparseRun } from './tar-entry.ts';
import { blockSize } from './tar-header.ts';
import { badTar, parseDecimal, parseNumber } from './tar-numbers.ts';

/** Runs of an old GNU sparse header: four in the header (at 386), 21 in each extension block (at 0). */
export function parseGnuRuns(block: Buffer, start: number, count: number, runs: SparseRun[]): void {
  for (let i = 0; i < count; i++) {
    const at = start + 24 * i;
    if (block[at] === 0) return;
    const offset = parseNumber(block, at, 12, 'sparse offset');
    runs.push({ offset, length: parseNumber(block, at + 12, 12, 'sparse length') });
  }
}

export const gnuHeader = { runs: 386, count: 4, extended: 482, realSize: 483 } as const;
export const gnuExtension = { runs: 0, count: 21, extended: 504 } as const;
/** Extension blocks one file may have. */
export const maxGnuExtensions = maxPaxBytes / blockSize;

/** Which PAX sparse format a member uses; undefined when it is not sparse. */
export function paxSparseVersion(records: PaxRecords): '0' | '1.0' | undefined {
  const major = records.get('GNU.sparse.major');
  const minor = records.get('GNU.sparse.minor');
  if (major === '1' && minor === '0') return '1.0';
  if (records.has('GNU.sparse.map')) return '0';
  if (major === undefined) return undefined;
  throw badTar(`unknown sparse format ${JSON.stringify(`${major}.${minor}`.slice(0, 20))}`);
}

/** The map of formats 0.0 and 0.1: `offset,length,offset,length…`. */
export function parsePaxMap(records: PaxRecords): SparseRun[] {
  const numbers = (records.get('GNU.sparse.map') ?? '').split(',');
  const count = parseDecimal(records.get('GNU.sparse.numblocks') ?? '', 'sparse block count');
  if (numbers.length !== count * 2) throw badTar('sparse map does not have the announced number of runs');
  return pairs(numbers);
}

/** Collects the map that format 1.0 keeps in front of the data: decimal lines, padded to a whole block. */
export class SparseMapReader {
  #text = '';
  #scanned = 0;
  #lines = 0;
  #wanted = -1;
  #blocks = 0;

  /** Adds one block; returns the runs when the map is complete. @throws invalid_argument */
  push(block: Buffer): SparseRun[] | undefined {
    if (++this.#blocks > maxGnuExtensions) throw badTar('sparse map is too large');
    this.#text += block.toString('latin1', 0, blockSize);
    for (let end = this.#next(); end >= 0; end = this.#next()) {
      this.#scanned = end + 1;
      if (this.#lines++ === 0)
        this.#wanted = 1 + 2 * parseDecimal(this.#text.slice(0, end), 'sparse run count');
      if (this.#lines === this.#wanted) return pairs(this.#text.slice(0, end).split('\n').slice(1));
    }
    return undefined;
  }

  #next(): number {
    return this.#text.indexOf('\n', this.#scanned);
  }

  get storedBytes(): number {
    return this.#blocks * blockSize;
  }
}

function pairs(numbers: readonly string[]): SparseRun[] {
  const runs: SparseRun[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const offset = parseDecimal(numbers[i] ?? '', 'sparse offset');
    runs.push({ offset, length: parseDecimal(numbers[i + 1] ?? '', 'sparse length') });
  }
  return runs;
}

/** Checks order, bounds and sum. @throws invalid_argument unless runs are disjoint, inside the file and all stored */
export function checkRuns(runs: readonly SparseRun[], sizeBytes: number, storedBytes: number): SparseRun[] {
  let end = 0;
  let sum = 0;
  for (const run of runs) {
    if (run.offset < end || run.length < 0) throw badTar('sparse runs overlap');
    end = run.offset + run.length;
    sum += run.length;
  }
  if (end > sizeBytes) throw badTar('sparse runs go past the end of the file');
  if (sum !== storedBytes) throw badTar('sparse runs and stored bytes differ');
  return runs.filter((run) => run.length > 0);
}
