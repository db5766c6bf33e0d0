import { open } from 'node:fs/promises';
import { codeOf, dataLoss } from '../../errors/error.ts';

/** What the superblock of a layer file and the file itself say. */
export interface ErofsFile {
  /** Bytes it takes on disk. */
  readonly diskBytes: number;
  readonly inodes: number;
  /** What statfs(2) answers where it is mounted; 0 when it has no UUID. */
  readonly fileSystemId: bigint;
}

const superblockOffset = 1024;
const superblockBytes = 128;
const magic = 0xe0f5e1e2;

/**
 * Reads the superblock of a layer file and holds it against the file's size. Its checksum is the kernel's to check, when
 * it mounts. @throws data_loss saying what is wrong: missing, cut short, or not an EROFS image
 */
export async function readErofsFile(path: string): Promise<ErofsFile> {
  await using file = await open(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') throw dataLoss('its layer file is missing', error);
    throw error;
  });
  const { size, blocks } = await file.stat();
  const block = Buffer.alloc(superblockBytes);
  const { bytesRead } = await file.read(block, 0, superblockBytes, superblockOffset);
  if (bytesRead < superblockBytes || block.readUInt32LE(0) !== magic)
    throw dataLoss('its layer file is not an EROFS image');
  const wantedBytes = block.readUInt32LE(36) * 2 ** block.readUInt8(12);
  if (size < wantedBytes) throw dataLoss(`its layer file has ${size} of ${wantedBytes} bytes`);
  return {
    diskBytes: blocks * 512,
    inodes: Number(block.readBigUInt64LE(16)),
    fileSystemId: block.readBigUInt64LE(48) ^ block.readBigUInt64LE(56),
  };
}
