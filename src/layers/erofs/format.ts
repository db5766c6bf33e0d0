/**
 * Numbers of EROFS' on-disk format (kernel: fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst), and where a
 * layer file keeps what:
 *
 *     0      zeros
 *     1024   superblock, and Berth's own record behind it, both under the superblock's checksum
 *     4096   data: the layer's uncompressed tar, byte for byte; regular files are ranges of it
 *     …      blocks of sparse files that the tar does not hold as blocks
 *     …      metadata: inodes with xattrs, short directories and links behind them, then blocks of the longer ones
 */

export const superblockAt = 1024;
export const dataAt = 4096;
export const blockBits = 9;
export const blockBytes = 1 << blockBits;
/** Parts of a layer file begin at whole pages. */
export const pageBytes = 4096;
/** Inodes are named by their place in units of this size (nid). */
export const slotBytes = 32;
/** Size of an extended inode, the kind with 32-bit owners and a time of its own. */
export const inodeBytes = 64;
export const direntBytes = 12;
export const maxNameBytes = 255;
/** "No block here": a hole. */
export const nullBlock = 0xffffffff;
/** Block numbers have 32 bits. */
export const maxFileBytes = (2 ** 32 - 1) * blockBytes;

/** How the bytes of an inode are found. */
export const layout = { plain: 0, inline: 2, chunks: 4 } as const;

/** `file_type` of a directory entry, by the S_IF… part of a mode shifted down. */
export const direntTypes: Readonly<Record<number, number>> = { 8: 1, 4: 2, 2: 3, 6: 4, 1: 5, 12: 6, 10: 7 };

export const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;
