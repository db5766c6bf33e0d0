import type { ByteString } from '../tar-entry.ts';
import { blockBytes, direntBytes, direntTypes } from './format.ts';
import { writeUInt64 } from './inode-table.ts';

/** An entry of a directory as it is written. */
export interface Dirent {
  readonly name: ByteString;
  readonly nid: number;
  readonly mode: number;
}

/** How many bytes the entries take: blocks that are full, and what is in the last one. Names are in order. */
export function measureDirents(names: readonly ByteString[]): { fullBlocks: number; tailBytes: number } {
  let fullBlocks = 0;
  let tailBytes = 0;
  for (const name of names) {
    const bytes = direntBytes + name.length;
    if (tailBytes + bytes > blockBytes) {
      fullBlocks++;
      tailBytes = 0;
    }
    tailBytes += bytes;
  }
  return { fullBlocks, tailBytes };
}

/**
 * The bytes of a directory. Each block starts with its entries, 12 bytes each, and has their names behind them; an
 * entry and its name are in one block. All are in order of their bytes, "." and ".." among them, as lookups halve.
 */
export function encodeDirents(dirents: readonly Dirent[]): Buffer {
  const { fullBlocks, tailBytes } = measureDirents(dirents.map(({ name }) => name));
  const bytes = Buffer.alloc(fullBlocks * blockBytes + tailBytes);
  for (let from = 0, block = 0; from < dirents.length; block += blockBytes) {
    const to = endOfBlock(dirents, from);
    let nameAt = (to - from) * direntBytes;
    for (let i = from; i < to; i++) nameAt += encodeDirent(bytes, block, i - from, nameAt, dirents[i]);
    from = to;
  }
  return bytes;
}

function endOfBlock(dirents: readonly Dirent[], from: number): number {
  let used = 0;
  let to = from;
  for (let next = dirents[to]; next !== undefined; next = dirents[++to]) {
    used += direntBytes + next.name.length;
    if (used > blockBytes) break;
  }
  return to;
}

/** Returns the length of the name. */
function encodeDirent(bytes: Buffer, block: number, index: number, nameAt: number, dirent?: Dirent): number {
  if (dirent === undefined) return 0;
  const { name, nid, mode } = dirent;
  const at = block + index * direntBytes;
  writeUInt64(bytes, nid, at);
  bytes.writeUInt16LE(nameAt, at + 8);
  bytes[at + 10] = direntTypes[mode >>> 12] ?? 0;
  // Short as names are, this is faster than a call of Buffer.write.
  for (let i = 0; i < name.length; i++) bytes[block + nameAt + i] = name.charCodeAt(i);
  return name.length;
}

/** In the order of their bytes, with the two that every directory has. */
export const sortedNames = (children: Iterable<ByteString>): ByteString[] => ['.', '..', ...children].sort();
