import { S_IFDIR, S_IFLNK } from '../../sys/constants.ts';
import { BufferedOutput } from './buffered-output.ts';
import { type Dirent, encodeDirents } from './dirents.ts';
import { alignUp, blockBytes, inodeBytes, nullBlock, slotBytes } from './format.ts';
import type { LayerFiles, MetadataLayout } from './layout.ts';
import { mapChunks, type SparseCopy } from './sparse-map.ts';
import { inlineXattrs } from './xattrs.ts';

/** Where metadata goes in the layer file. */
export interface MetadataPlace {
  /** First byte of the metadata. A whole block. */
  readonly start: number;
  /** First byte of the copied chunks. */
  readonly copiesAt: number;
}

/** Writes inodes and directories as laid out. Returns the end, and what is to be copied for sparse files. */
export function writeMetadata(
  fd: number,
  files: LayerFiles,
  layout: MetadataLayout,
  place: MetadataPlace,
): { end: number; copies: SparseCopy[] } {
  const output = new MetadataOutput(fd, files, layout, place);
  for (const inode of layout.order) output.write(inode);
  return { end: output.finish(), copies: output.copies };
}

class MetadataOutput {
  readonly copies: SparseCopy[] = [];
  readonly #files: LayerFiles;
  readonly #layout: MetadataLayout;
  readonly #start: number;
  readonly #inodes: BufferedOutput;
  readonly #blocks: BufferedOutput;
  readonly #firstBlock: number;
  readonly #record = Buffer.alloc(inodeBytes);
  #copiesAt: number;

  constructor(fd: number, files: LayerFiles, layout: MetadataLayout, { start, copiesAt }: MetadataPlace) {
    this.#files = files;
    this.#layout = layout;
    this.#start = start;
    this.#copiesAt = copiesAt;
    const blocksAt = alignUp(start + layout.inodesEnd, blockBytes);
    this.#firstBlock = blocksAt / blockBytes;
    this.#inodes = new BufferedOutput(fd, start);
    this.#blocks = new BufferedOutput(fd, blocksAt);
  }

  write(inode: number): void {
    const { tree } = this.#files;
    const type = tree.inodes.type(inode);
    this.#inodes.skipTo(this.#start + tree.inodes.nid(inode) * slotBytes);
    if (type === S_IFDIR) this.#writeWithBytes(inode, this.#direntsOf(inode));
    else if (type === S_IFLNK)
      this.#writeWithBytes(inode, Buffer.from(tree.links.get(inode) ?? '', 'latin1'));
    else this.#writeRecord(inode);
    const map = this.#layout.chunks.get(inode);
    const file = this.#files.sparse.get(inode);
    if (map === undefined || file === undefined) return;
    const { table, copies } = mapChunks(file, map, this.#copiesAt);
    this.#copiesAt += map.copies * map.chunkBytes;
    for (const copy of copies) this.copies.push(copy);
    this.#inodes.write(table);
  }

  /** Returns the end of the metadata. */
  finish(): number {
    this.#inodes.flush();
    this.#blocks.flush();
    return Math.max(this.#blocks.position, this.#inodes.position);
  }

  #writeWithBytes(inode: number, bytes: Buffer): void {
    const { inodes } = this.#files.tree;
    const block = inodes.place(inode);
    if (block !== nullBlock) inodes.setPlace(inode, this.#firstBlock + block);
    this.#writeRecord(inode);
    const inBlocks = inodes.isInline(inode) ? bytes.length - (bytes.length % blockBytes) : bytes.length;
    this.#inodes.write(bytes.subarray(inBlocks));
    this.#blocks.write(bytes.subarray(0, inBlocks));
    this.#blocks.skipTo(alignUp(this.#blocks.position, blockBytes));
  }

  #writeRecord(inode: number): void {
    const { tree, xattrs } = this.#files;
    tree.inodes.write(inode, this.#record);
    this.#inodes.write(this.#record);
    this.#inodes.write(inlineXattrs(xattrs.get(inode), tree.directoryOf(inode)?.opaque ?? false));
  }

  #direntsOf(inode: number): Buffer {
    const { tree } = this.#files;
    const directory = tree.directoryOf(inode);
    if (directory === undefined) throw new TypeError(`inode ${inode} is no directory`);
    const parent = directory.parent ?? directory;
    const target = (name: string): number =>
      name === '.' ? inode : name === '..' ? parent.inode : (directory.children.get(name) ?? inode);
    const dirents: Dirent[] = (this.#layout.names.get(inode) ?? []).map((name) => {
      const child = target(name);
      return { name, nid: tree.inodes.nid(child), mode: tree.inodes.mode(child) };
    });
    return encodeDirents(dirents);
  }
}
