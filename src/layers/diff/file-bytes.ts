import { readSync } from 'node:fs';
import { O_NONBLOCK, O_RDONLY } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { findData, findHole, openAt } from '../../sys/files.ts';
import { statFd } from '../../sys/stat.ts';
import { splitPath, toPath } from '../member-path.ts';
import type { ByteString, SparseRun } from '../tar-entry.ts';
import type { Common } from './layer-bytes.ts';
import { memberHeader, padding } from './member-header.ts';
import type { TreeEntry } from './tree-entry.ts';

const chunkBytes = 1 << 20;
/** A file with fewer bytes in holes is written out. */
const sparseFromBytes = 1 << 20;

/**
 * A regular file as a member: header and data. A file that shrinks while it is read is filled up with zeros, one that
 * grows is cut, so that the header stays true. One with large holes is a sparse member (GNU PAX format 1.0).
 */
export function* fileBytes({ directory, name }: TreeEntry, common: Common): Generator<Buffer> {
  using file = openAt(directory.fd, toPath(name), O_RDONLY | O_NONBLOCK);
  const { sizeBytes, blocks } = statFd(file);
  const runs = sizeBytes - blocks * 512 >= sparseFromBytes ? dataRuns(file, sizeBytes) : undefined;
  if (runs !== undefined) return yield* sparseBytes(file, sizeBytes, runs, common);
  yield memberHeader({ ...common, flag: '0', sizeBytes });
  yield* dataOf(file, 0, sizeBytes);
  yield padding(sizeBytes);
}

function* sparseBytes(
  file: Fd,
  sizeBytes: number,
  runs: readonly SparseRun[],
  common: Common,
): Generator<Buffer> {
  const map = sparseMap(runs);
  const dataBytes = runs.reduce((sum, { length }) => sum + length, 0);
  const records: (readonly [ByteString, ByteString])[] = [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', common.name],
    ['GNU.sparse.realsize', String(sizeBytes)],
  ];
  yield memberHeader({
    ...common,
    name: `GNUSparseFile.0/${splitPath(common.name).base}`,
    flag: '0',
    sizeBytes: map.length + dataBytes,
    records: [...records, ...common.records],
  });
  yield map;
  for (const { offset, length } of runs) yield* dataOf(file, offset, length);
  yield padding(dataBytes);
}

/** Decimal lines (count, then offset and length of each run) in whole blocks. */
function sparseMap(runs: readonly SparseRun[]): Buffer {
  const numbers = [runs.length, ...runs.flatMap(({ offset, length }) => [offset, length])];
  const text = Buffer.from(numbers.map((n) => `${n}\n`).join(''), 'latin1');
  return Buffer.concat([text, padding(text.length)]);
}

/** Where the data of a file lies; the last run ends with the file, as GNU tar has it. */
function dataRuns(file: Fd, sizeBytes: number): SparseRun[] {
  const runs: SparseRun[] = [];
  for (let at = 0; at < sizeBytes; ) {
    const offset = findData(file, at);
    if (offset === undefined || offset >= sizeBytes) break;
    const end = Math.min(findHole(file, offset), sizeBytes);
    runs.push({ offset, length: end - offset });
    at = end;
  }
  const last = runs.at(-1);
  if (last === undefined || last.offset + last.length < sizeBytes)
    runs.push({ offset: sizeBytes, length: 0 });
  return runs;
}

function* dataOf(file: Fd, from: number, length: number): Generator<Buffer> {
  for (let done = 0; done < length; ) {
    const wanted = Math.min(chunkBytes, length - done);
    const chunk = Buffer.allocUnsafeSlow(wanted);
    const got = readSync(file.fd, chunk, 0, wanted, from + done);
    if (got === 0) chunk.fill(0);
    yield got === 0 ? chunk : chunk.subarray(0, got);
    done += got === 0 ? wanted : got;
  }
}
