import { crc32c } from './crc32c.ts';
import { alignUp, blockBits, blockBytes, dataAt, pageBytes, superblockAt } from './format.ts';
import { readUInt64, writeUInt64 } from './inode-table.ts';

/** What a layer file says of itself. */
export interface LayerRecord {
  /** sha256 of the data, which is the layer's uncompressed tar. */
  readonly diffId: Buffer;
  readonly dataBytes: number;
  /** sha256 of everything behind the data, whole blocks. */
  readonly restHash: Buffer;
  /** First byte of the metadata. */
  readonly metadataAt: number;
  /** Where the nids of the implicit directories are, 32 bits each. */
  readonly implicitAt: number;
  readonly implicitCount: number;
  readonly fileBytes: number;
  /** Of the root directory. */
  readonly rootNid: number;
  /** Inodes with a name. */
  readonly inodes: number;
  /** Files and directories that the layer brings; whiteouts and the root are none. */
  readonly members: number;
  /** Some file is made of chunks. */
  readonly chunks: boolean;
}

const magic = 0xe0f5e1e2;
const checksumFeature = 1;
const chunkFeature = 4;
const recordMagic = Buffer.from('berthlayer\0\x01', 'latin1');
/** Offsets in the superblock's block: EROFS' own fields, then ours from 256 on. */
const at = {
  checksum: 4,
  compatible: 8,
  blockBits: 12,
  rootNid: 14,
  inodes: 16,
  blocks: 36,
  metadataBlock: 40,
  xattrBlock: 44,
  uuid: 48,
  incompatible: 80,
  record: 256,
};
const inRecord = {
  dataBytes: 16,
  metadataAt: 24,
  implicitAt: 32,
  implicitCount: 40,
  fileBytes: 48,
  members: 56,
  diffId: 64,
  restHash: 96,
};

/** Where the superblock is, and how long it is with our record. */
export const superblock = { at: superblockAt, bytes: blockBytes } as const;

/** Deterministic: the same layer makes the same file. Its UUID is the start of the diff ID. */
export function encodeSuperblock(layer: LayerRecord): Buffer {
  const block = Buffer.alloc(superblock.bytes);
  block.writeUInt32LE(magic, 0);
  block.writeUInt32LE(checksumFeature, at.compatible);
  block[at.blockBits] = blockBits;
  block.writeUInt16LE(layer.rootNid, at.rootNid);
  writeUInt64(block, layer.inodes, at.inodes);
  block.writeUInt32LE(layer.fileBytes / blockBytes, at.blocks);
  block.writeUInt32LE(layer.metadataAt / blockBytes, at.metadataBlock);
  // Ids of shared xattrs count from here.
  block.writeUInt32LE(layer.metadataAt / blockBytes, at.xattrBlock);
  layer.diffId.copy(block, at.uuid, 0, 16);
  block.writeUInt32LE(layer.chunks ? chunkFeature : 0, at.incompatible);
  encodeRecord(block.subarray(at.record), layer);
  block.writeUInt32LE(crc32c(block), at.checksum);
  return block;
}

function encodeRecord(record: Buffer, layer: LayerRecord): void {
  recordMagic.copy(record);
  writeUInt64(record, layer.dataBytes, inRecord.dataBytes);
  writeUInt64(record, layer.metadataAt, inRecord.metadataAt);
  writeUInt64(record, layer.implicitAt, inRecord.implicitAt);
  writeUInt64(record, layer.implicitCount, inRecord.implicitCount);
  writeUInt64(record, layer.fileBytes, inRecord.fileBytes);
  writeUInt64(record, layer.members, inRecord.members);
  layer.diffId.copy(record, inRecord.diffId);
  layer.restHash.copy(record, inRecord.restHash);
}

/** Undefined unless it is a whole superblock of a layer file, with the right checksum. */
export function decodeSuperblock(block: Buffer): LayerRecord | undefined {
  if (block.length !== superblock.bytes || block.readUInt32LE(0) !== magic) return undefined;
  const checked = Buffer.from(block);
  checked.writeUInt32LE(0, at.checksum);
  if (crc32c(checked) !== block.readUInt32LE(at.checksum)) return undefined;
  const record = block.subarray(at.record);
  if (!record.subarray(0, recordMagic.length).equals(recordMagic)) return undefined;
  return {
    diffId: Buffer.from(record.subarray(inRecord.diffId, inRecord.diffId + 32)),
    dataBytes: readUInt64(record, inRecord.dataBytes),
    restHash: Buffer.from(record.subarray(inRecord.restHash, inRecord.restHash + 32)),
    metadataAt: readUInt64(record, inRecord.metadataAt),
    implicitAt: readUInt64(record, inRecord.implicitAt),
    implicitCount: readUInt64(record, inRecord.implicitCount),
    fileBytes: readUInt64(record, inRecord.fileBytes),
    rootNid: block.readUInt16LE(at.rootNid),
    inodes: readUInt64(block, at.inodes),
    members: readUInt64(record, inRecord.members),
    chunks: (block.readUInt32LE(at.incompatible) & chunkFeature) !== 0,
  };
}

/** First byte behind the data. */
export const restAt = ({ dataBytes }: Pick<LayerRecord, 'dataBytes'>): number =>
  alignUp(dataAt + dataBytes, pageBytes);
