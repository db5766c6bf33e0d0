import { createHash } from 'node:crypto';
import { fdatasync, fstatSync, ftruncateSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { failedPrecondition, resourceExhausted } from '../../errors/error.ts';
import { AT_FDCWD, O_CREAT, O_RDWR } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { openAt } from '../../sys/files.ts';
import { WriteBack } from '../../sys/write-back.ts';
import { BufferedOutput, writeAll } from './buffered-output.ts';
import { alignUp, dataAt, maxFileBytes, pageBytes } from './format.ts';
import type { LayerBuilder } from './layer-builder.ts';
import { layOut } from './layout.ts';
import { writeMetadata } from './metadata-output.ts';
import type { SparseCopy } from './sparse-map.ts';
import { encodeSuperblock, restAt, superblock } from './superblock.ts';

const copyBytes = 1 << 20;

/**
 * A layer file while it is written: the tar as it comes, then the metadata, then the superblock, so that an unfinished
 * file is none. Disposing closes it.
 */
export class LayerOutput implements AsyncDisposable {
  readonly #fd: Fd;
  readonly #path: string;
  readonly #writeBack: WriteBack;
  #dataBytes = 0;

  /** @throws failed_precondition when there is something at `path` already */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openAt(AT_FDCWD, path, O_RDWR | O_CREAT, 0o600);
    this.#writeBack = new WriteBack(this.#fd);
    if (fstatSync(this.#fd.fd).size === 0) return;
    this.#fd.close();
    throw failedPrecondition(`layer file ${path} exists`);
  }

  /** The next bytes of the tar. */
  write(chunk: Buffer): void {
    const at = dataAt + this.#dataBytes;
    this.#dataBytes += chunk.length;
    if (at + chunk.length > maxFileBytes) throw this.#tooLarge();
    // The file is new, so what is not written is zero.
    if (!isZero(chunk)) writeAll(this.#fd.fd, chunk, at);
    this.#writeBack.grewTo(dataAt + this.#dataBytes);
  }

  /** Everything behind the data, and the superblock. */
  finish(files: LayerBuilder, diffId: Buffer): void {
    const fd = this.#fd.fd;
    const layout = layOut(files);
    const copiesAt = restAt({ dataBytes: this.#dataBytes });
    const start = alignUp(copiesAt + copiedBytes(layout.chunks.values()), pageBytes);
    if (start > maxFileBytes) throw this.#tooLarge();
    const { end, copies } = writeMetadata(fd, files, layout, { start, copiesAt });
    for (const copy of copies) copyRange(fd, copy);
    const implicit = implicitTable(files);
    writeAll(fd, implicit, end);
    const fileBytes = alignUp(end + implicit.length, pageBytes);
    ftruncateSync(fd, fileBytes);
    const record = {
      diffId,
      dataBytes: this.#dataBytes,
      restHash: hashRange(fd, copiesAt, fileBytes),
      metadataAt: start,
      implicitAt: end,
      implicitCount: implicit.length / 4,
      fileBytes,
      rootNid: files.tree.inodes.nid(files.tree.root.inode),
      inodes: layout.order.length,
      members: files.members,
      chunks: layout.chunks.size > 0,
    };
    writeAll(fd, encodeSuperblock(record), superblock.at);
    this.#writeBack.grewTo(fileBytes, { last: true });
  }

  /** Puts everything on disk; the name in its directory is the caller's. */
  async sync(): Promise<void> {
    await this.#writeBack.settled();
    await promisify(fdatasync)(this.#fd.fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writeBack.settled();
    this.#fd.close();
  }

  #tooLarge() {
    return resourceExhausted(`layer file ${this.#path} would be larger than ${maxFileBytes} bytes`);
  }
}

const zeros = Buffer.alloc(1 << 20);
const isZero = (chunk: Buffer): boolean =>
  chunk.length <= zeros.length && zeros.subarray(0, chunk.length).equals(chunk);

function copiedBytes(maps: Iterable<{ copies: number; chunkBytes: number }>): number {
  let bytes = 0;
  for (const { copies, chunkBytes } of maps) bytes += copies * chunkBytes;
  return bytes;
}

/** nids of the directories no member describes, in the order in which they are told (LayerBuilder.unfinished). */
function implicitTable({ tree }: LayerBuilder): Buffer {
  const nids = [...tree.directories()].filter((directory) => directory.implicit);
  const table = Buffer.alloc(4 * nids.length);
  for (const [i, { inode }] of nids.entries()) table.writeUInt32LE(tree.inodes.nid(inode), 4 * i);
  return table;
}

function copyRange(fd: number, { from, to, length }: SparseCopy): void {
  const output = new BufferedOutput(fd, to);
  for (const piece of readRange(fd, from, from + length)) output.write(piece);
  output.flush();
}

/** sha256 of a range of a file. */
export function hashRange(fd: number, from: number, to: number): Buffer {
  const hash = createHash('sha256');
  for (const piece of readRange(fd, from, to)) hash.update(piece);
  return hash.digest();
}

/** A range of a file in pieces, each valid until the next. @throws failed_precondition when the file is shorter */
function* readRange(fd: number, from: number, to: number): Iterable<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.min(copyBytes, to - from));
  for (let at = from; at < to; ) {
    const count = readSync(fd, buffer, 0, Math.min(buffer.length, to - at), at);
    if (count === 0) throw failedPrecondition('layer file ends early');
    yield buffer.subarray(0, count);
    at += count;
  }
}
