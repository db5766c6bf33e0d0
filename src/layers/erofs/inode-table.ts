import { S_IFDIR, S_IFMT } from '../../sys/constants.ts';
import type { FileTime } from '../tar-entry.ts';
import { inodeBytes, layout } from './format.ts';

/** What an inode starts with. */
export interface InodeFields {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: FileTime;
  /** First block of a file's data, or a device number. */
  readonly place: number;
}

// Offsets in struct erofs_inode_extended. Its reserved end holds the nid until the inode is written.
const at = {
  format: 0,
  xattrs: 2,
  mode: 4,
  size: 8,
  place: 16,
  ino: 20,
  uid: 24,
  gid: 28,
  mtime: 32,
  nlink: 44,
};
const nidAt = 48;
const chunkInodes = 1024;

/**
 * All inodes of a layer as they will stand on disk, 64 bytes each, by index from 0. A million of them are 64 MB and
 * nothing for the garbage collector to walk.
 */
export class InodeTable {
  readonly #chunks: Buffer[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A new inode without any name (nlink 0). Returns its index. */
  add(fields: InodeFields): number {
    const index = this.#count++;
    if (index % chunkInodes === 0) this.#chunks.push(Buffer.alloc(chunkInodes * inodeBytes));
    this.describe(index, fields);
    return index;
  }

  /** Replaces everything but the number of names. */
  describe(index: number, { mode, uid, gid, sizeBytes, mtime, place }: InodeFields): void {
    const chunk = this.#chunkOf(index);
    const o = offsetOf(index);
    chunk.writeUInt16LE(mode, o + at.mode);
    writeUInt64(chunk, sizeBytes, o + at.size);
    chunk.writeUInt32LE(place, o + at.place);
    chunk.writeUInt32LE(uid, o + at.uid);
    chunk.writeUInt32LE(gid, o + at.gid);
    writeInt64(chunk, mtime.seconds, o + at.mtime);
    chunk.writeUInt32LE(mtime.nanoseconds, o + at.mtime + 8);
  }

  mode(index: number): number {
    return this.#chunkOf(index).readUInt16LE(offsetOf(index) + at.mode);
  }

  /** The S_IF… part of the mode. */
  type(index: number): number {
    return this.mode(index) & S_IFMT;
  }

  sizeBytes(index: number): number {
    return readUInt64(this.#chunkOf(index), offsetOf(index) + at.size);
  }

  place(index: number): number {
    return this.#chunkOf(index).readUInt32LE(offsetOf(index) + at.place);
  }

  setPlace(index: number, place: number): void {
    this.#chunkOf(index).writeUInt32LE(place, offsetOf(index) + at.place);
  }

  /** One name more (or `by` -1, one less). */
  link(index: number, by: 1 | -1 = 1): void {
    const chunk = this.#chunkOf(index);
    const o = offsetOf(index) + at.nlink;
    chunk.writeUInt32LE(chunk.readUInt32LE(o) + by, o);
  }

  /** Undefined before {@link arrange}. */
  nid(index: number): number {
    return this.#chunkOf(index).readUInt32LE(offsetOf(index) + nidAt);
  }

  /** Says where the inode will stand and how its bytes are found. */
  arrange(index: number, nid: number, dataLayout: number, xattrCount: number, sizeBytes: number): void {
    const chunk = this.#chunkOf(index);
    const o = offsetOf(index);
    chunk.writeUInt16LE(1 | (dataLayout << 1), o + at.format);
    chunk.writeUInt16LE(xattrCount, o + at.xattrs);
    writeUInt64(chunk, sizeBytes, o + at.size);
    chunk.writeUInt32LE(nid % 2 ** 32, o + at.ino);
    chunk.writeUInt32LE(nid, o + nidAt);
  }

  isInline(index: number): boolean {
    return this.#chunkOf(index).readUInt16LE(offsetOf(index) + at.format) >>> 1 === layout.inline;
  }

  /** Copies the record as it stands on disk. */
  write(index: number, to: Buffer): void {
    const o = offsetOf(index);
    this.#chunkOf(index).copy(to, 0, o, o + nidAt);
    to.fill(0, nidAt, inodeBytes);
  }

  #chunkOf(index: number): Buffer {
    const chunk = this.#chunks[Math.floor(index / chunkInodes)];
    if (chunk === undefined) throw new RangeError(`no inode ${index}`);
    return chunk;
  }
}

/** Gives a directory's record, as it stands on disk, other attributes and so many words of xattrs. */
export function redescribe(
  record: Buffer,
  { mode, uid, gid, mtimeNs }: { mode: number; uid: number; gid: number; mtimeNs: bigint },
  xattrWords: number,
): void {
  record.writeUInt16LE(xattrWords, at.xattrs);
  record.writeUInt16LE(S_IFDIR | mode, at.mode);
  record.writeUInt32LE(uid, at.uid);
  record.writeUInt32LE(gid, at.gid);
  const nanoseconds = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  record.writeBigInt64LE((mtimeNs - nanoseconds) / 1_000_000_000n, at.mtime);
  record.writeUInt32LE(Number(nanoseconds), at.mtime + 8);
}

/** How many words of xattrs a record as it stands on disk says it has. */
export const xattrCountOf = (record: Buffer): number => record.readUInt16LE(at.xattrs);

const offsetOf = (index: number): number => (index % chunkInodes) * inodeBytes;

/** Writes an integer of up to 2^53 either way. */
function writeInt64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(((value % 2 ** 32) + 2 ** 32) % 2 ** 32, offset);
  buffer.writeInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}

/** Writes an integer of up to 2^53. */
export function writeUInt64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value % 2 ** 32, offset);
  buffer.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}

export const readUInt64 = (buffer: Buffer, offset: number): number =>
  buffer.readUInt32LE(offset + 4) * 2 ** 32 + buffer.readUInt32LE(offset);
