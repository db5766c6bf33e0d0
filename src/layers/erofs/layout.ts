import { S_IFDIR, S_IFLNK, S_IFREG } from '../../sys/constants.ts';
import type { ByteString } from '../tar-entry.ts';
import { measureDirents, sortedNames } from './dirents.ts';
import { alignUp, blockBytes, inodeBytes, layout, nullBlock, slotBytes } from './format.ts';
import type { Directory, LayerTree } from './layer-tree.ts';
import { type ChunkMap, planChunks, type SparseFile } from './sparse-map.ts';
import { inlineXattrs, xattrCount } from './xattrs.ts';

/** The files of a layer: a tree, and what few of them have beside an inode. */
export interface LayerFiles {
  readonly tree: LayerTree;
  /** Encoded entries by inode. */
  readonly xattrs: ReadonlyMap<number, Buffer>;
  readonly sparse: ReadonlyMap<number, SparseFile>;
}

/** Where the metadata goes. Offsets count from its start. */
export interface MetadataLayout {
  /** Inodes in the order they stand in. */
  readonly order: readonly number[];
  /** Names of each directory in order, "." and ".." among them. */
  readonly names: ReadonlyMap<number, readonly ByteString[]>;
  readonly chunks: ReadonlyMap<number, ChunkMap>;
  readonly inodesEnd: number;
  /** Blocks of long directories and links, which follow the inodes. */
  readonly blocks: number;
}

/** An implicit directory has this much room behind its inode for attributes that it inherits later. */
export const inheritedXattrsRoom = 64;

/** nid 0 stays free: tools take inode number 0 for a deleted file. */
const firstInodeAt = 2 * slotBytes;
/** A longer last piece does not fit behind every inode without crossing into another block. */
const maxInlineBytes = blockBytes - slotBytes;

/**
 * Gives every inode its place: those of one directory together, in the order of their names, which is the order in
 * which a walk asks for them.
 */
export function layOut(files: LayerFiles): MetadataLayout {
  const arranger = new Arranger(files);
  const pending = [files.tree.root];
  arranger.arrange(files.tree.root.inode);
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop())
    pending.push(...arranger.arrangeChildren(directory).reverse());
  return arranger;
}

class Arranger implements MetadataLayout {
  readonly order: number[] = [];
  readonly names = new Map<number, readonly ByteString[]>();
  readonly chunks = new Map<number, ChunkMap>();
  inodesEnd = firstInodeAt;
  blocks = 0;
  readonly #files: LayerFiles;
  readonly #arranged: Uint8Array;

  constructor(files: LayerFiles) {
    this.#files = files;
    this.#arranged = new Uint8Array(files.tree.inodes.count);
  }

  /** Returns the directories among them. */
  arrangeChildren(parent: Directory): Directory[] {
    const directories: Directory[] = [];
    for (const name of this.names.get(parent.inode) ?? []) {
      const inode = parent.children.get(name);
      if (inode === undefined || this.#arranged[inode] === 1) continue;
      this.arrange(inode);
      const directory = this.#files.tree.directoryOf(inode);
      if (directory !== undefined) directories.push(directory);
    }
    return directories;
  }

  arrange(inode: number): void {
    this.#arranged[inode] = 1;
    this.order.push(inode);
    const { tree, sparse } = this.#files;
    const type = tree.inodes.type(inode);
    if (type === S_IFDIR) this.#arrangeDirectory(inode);
    else if (type === S_IFLNK) this.#arrangeBytes(inode, tree.inodes.sizeBytes(inode));
    else if (type === S_IFREG && sparse.has(inode)) this.#arrangeSparse(inode, sparse.get(inode));
    else this.#put(inode, layout.plain, 0, tree.inodes.sizeBytes(inode));
  }

  #arrangeDirectory(inode: number): void {
    const directory = this.#files.tree.directoryOf(inode);
    if (directory === undefined) throw new TypeError(`inode ${inode} is no directory`);
    const names = sortedNames(directory.children.keys());
    this.names.set(inode, names);
    const { fullBlocks, tailBytes } = measureDirents(names);
    const sizeBytes = fullBlocks * blockBytes + tailBytes;
    if (!directory.implicit) this.#arrangeBytes(inode, sizeBytes);
    else {
      this.#takeBlocks(inode, Math.ceil(sizeBytes / blockBytes));
      this.#put(inode, layout.plain, inheritedXattrsRoom, sizeBytes);
    }
  }

  /** Bytes that are metadata too: whole blocks elsewhere, the last piece behind the inode where it fits. */
  #arrangeBytes(inode: number, sizeBytes: number): void {
    const tail = sizeBytes % blockBytes;
    const inline = tail > 0 && tail <= maxInlineBytes;
    this.#takeBlocks(inode, inline ? Math.floor(sizeBytes / blockBytes) : Math.ceil(sizeBytes / blockBytes));
    this.#put(inode, inline ? layout.inline : layout.plain, inline ? tail : 0, sizeBytes);
  }

  #arrangeSparse(inode: number, file: SparseFile | undefined): void {
    if (file === undefined) return;
    const map = planChunks(file);
    this.chunks.set(inode, map);
    this.#files.tree.inodes.setPlace(inode, Math.log2(map.chunkBytes / blockBytes));
    this.#put(inode, layout.chunks, map.tableBytes, file.sizeBytes);
  }

  #takeBlocks(inode: number, count: number): void {
    this.#files.tree.inodes.setPlace(inode, count === 0 ? nullBlock : this.blocks);
    this.blocks += count;
  }

  #put(inode: number, dataLayout: number, behindBytes: number, sizeBytes: number): void {
    const { tree, xattrs } = this.#files;
    const body = inlineXattrs(xattrs.get(inode), tree.directoryOf(inode)?.opaque ?? false).length;
    let at = alignUp(this.inodesEnd, slotBytes);
    const crosses = () => (at + inodeBytes + body) % blockBytes > blockBytes - behindBytes;
    if (dataLayout === layout.inline) while (crosses()) at += slotBytes;
    tree.inodes.arrange(inode, at / slotBytes, dataLayout, xattrCount(body), sizeBytes);
    this.inodesEnd = at + inodeBytes + body + behindBytes;
  }
}
