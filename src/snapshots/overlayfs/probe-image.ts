const blockBytes = 512;

/**
 * The smallest EROFS image there is: an empty directory, in blocks of 512 bytes as our layer files have them. What can
 * mount it can mount those. Layout: linux/fs/erofs/erofs_fs.h.
 */
export function probeImage(): Buffer {
  const image = Buffer.alloc(4 * blockBytes);
  writeSuperblock(image.subarray(2 * blockBytes));
  writeRoot(image.subarray(3 * blockBytes));
  return image;
}

function writeSuperblock(block: Buffer): void {
  block.writeUInt32LE(0xe0f5e1e2, 0);
  block.writeUInt8(Math.log2(blockBytes), 12);
  block.writeBigUInt64LE(1n, 16);
  block.writeUInt32LE(4, 36);
  block.writeUInt32LE(3, 40);
}

/** A compact inode with number 0 whose two entries follow it (EROFS_INODE_FLAT_INLINE). */
function writeRoot(block: Buffer): void {
  block.writeUInt16LE(2 << 1, 0);
  block.writeUInt16LE(0o40755, 4);
  block.writeUInt16LE(2, 6);
  block.writeUInt32LE(2 * 12 + 3, 8);
  block.writeUInt32LE(1, 20);
  const directory = 2;
  for (const [at, nameOffset] of [
    [32, 24],
    [44, 25],
  ] as const) {
    block.writeUInt16LE(nameOffset, at + 8);
    block.writeUInt8(directory, at + 10);
  }
  block.write('...', 56, 'latin1');
}
