import { fdatasync, fstatSync, ftruncateSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { dataLoss, failedPrecondition } from '../../errors/error.ts';
import { AT_FDCWD, O_RDWR } from '../../sys/constants.ts';
import { openAt } from '../../sys/files.ts';
import { type DirectoryAttributes, inheritAttributes } from '../inherited.ts';
import { missing, type Unfinished } from '../unfinished.ts';
import { writeAll } from './buffered-output.ts';
import { alignUp, inodeBytes, pageBytes, slotBytes } from './format.ts';
import { redescribe, xattrCountOf } from './inode-table.ts';
import { hashRange } from './layer-output.ts';
import { inheritedXattrsRoom } from './layout.ts';
import { decodeSuperblock, encodeSuperblock, type LayerRecord, restAt, superblock } from './superblock.ts';
import { encodeAny, saysOpaque, sharedXattrs, xattrCount } from './xattrs.ts';

/**
 * Completes a layer file, not mounted anywhere, now that the directories below are known, nearest first: implicit
 * directories get the attributes they have there, and the file is on disk again when this returns. While it works the
 * file has no superblock. Idempotent.
 * @throws invalid_argument when a hard link's target is nowhere; failed_precondition when the layer must be applied as
 *   a directory instead (hard links to lower files, more attributes than there is room for)
 */
export async function finishLayerFile(
  path: string,
  lower: readonly string[],
  unfinished: Unfinished,
): Promise<void> {
  const [link] = unfinished.links;
  if (link !== undefined && lower.length === 0) throw missing(...link);
  if (link !== undefined) throw needsDirectory(path, 'hard links to files of lower layers');
  using file = openAt(AT_FDCWD, path, O_RDWR);
  const patcher = new Patcher(file.fd, path);
  const { implicitDirectories } = unfinished;
  if (implicitDirectories.length !== patcher.count)
    throw failedPrecondition(`layer file ${path} has other directories to be finished`);
  inheritAttributes(lower, implicitDirectories, (attributes, _, index) => patcher.patch(index, attributes));
  if (!patcher.patched) return;
  patcher.finish();
  await promisify(fdatasync)(file.fd);
}

const needsDirectory = (path: string, why: string) =>
  failedPrecondition(`layer file ${path} must be applied as a directory: ${why}`);

class Patcher {
  readonly #fd: number;
  readonly #path: string;
  readonly #record: LayerRecord;
  readonly #nids: Buffer;
  /** Ids of the attributes appended so far, by their bytes. */
  readonly #shared = new Map<string, number>();
  #end: number;
  patched = false;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
    const record = decodeSuperblock(this.#read(superblock.at, superblock.bytes));
    if (record === undefined || fstatSync(fd).size !== record.fileBytes)
      throw dataLoss(`layer file ${path} is unfinished or damaged`);
    this.#record = record;
    this.#nids = this.#read(record.implicitAt, record.implicitCount * 4);
    this.#end = record.fileBytes;
  }

  get count(): number {
    return this.#record.implicitCount;
  }

  patch(index: number, attributes: DirectoryAttributes): void {
    const at = this.#record.metadataAt + this.#nids.readUInt32LE(4 * index) * slotBytes;
    const inode = this.#read(at, inodeBytes);
    const opaque = saysOpaque(this.#read(at + inodeBytes, inheritedXattrsRoom), xattrCountOf(inode));
    const body = sharedXattrs(this.#share(attributes.xattrs), opaque);
    if (body.length > inheritedXattrsRoom)
      throw needsDirectory(this.#path, 'a directory with many attributes');
    this.#invalidate();
    redescribe(inode, attributes, xattrCount(body.length));
    writeAll(this.#fd, Buffer.concat([inode, body]), at);
  }

  finish(): void {
    const fileBytes = alignUp(this.#end, pageBytes);
    ftruncateSync(this.#fd, fileBytes);
    const restHash = hashRange(this.#fd, restAt(this.#record), fileBytes);
    writeAll(this.#fd, encodeSuperblock({ ...this.#record, fileBytes, restHash }), superblock.at);
  }

  /** From here on the file is unfinished. */
  #invalidate(): void {
    if (!this.patched) writeAll(this.#fd, Buffer.alloc(superblock.bytes), superblock.at);
    this.patched = true;
  }

  #share(xattrs: DirectoryAttributes['xattrs']): number[] {
    const ids: number[] = [];
    for (const [name, value] of xattrs) {
      const entry = encodeAny(name.toString('latin1'), value);
      if (entry !== undefined) ids.push(this.#idOf(entry));
    }
    return ids;
  }

  #idOf(entry: Buffer): number {
    const key = entry.toString('latin1');
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const id = (this.#end - this.#record.metadataAt) / 4;
    this.#invalidate();
    writeAll(this.#fd, entry, this.#end);
    this.#end += entry.length;
    this.#shared.set(key, id);
    return id;
  }

  #read(at: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(this.#fd, buffer, 0, bytes, at));
  }
}
