import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { codeOf, dataLoss, notFound } from '../../errors/error.ts';
import type { DiffId } from '../../oci/digest.ts';
import { dataAt } from './format.ts';
import { decodeSuperblock, type LayerRecord, restAt, superblock } from './superblock.ts';

/** What a layer file says of itself. */
export interface LayerFile {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed layer in it. */
  readonly sizeBytes: number;
  /** Of the whole file. */
  readonly fileBytes: number;
  /** Files and directories of the layer. */
  readonly inodes: number;
}

const readBytes = 1 << 20;

/**
 * Looks at a layer file before it is mounted: superblock, its checksum, the file's length. Cheap: one small read. What is
 * behind the superblock is {@link verifyLayerFile}'s to check. @throws not_found, data_loss
 */
export async function readLayerFile(path: string): Promise<LayerFile> {
  return describe(await readRecord(path));
}

/**
 * Reads all of a layer file and compares its data with the diff ID and its metadata with their hash.
 * @throws not_found, data_loss (which names the part that differs), aborted
 */
export async function verifyLayerFile(path: string, signal?: AbortSignal): Promise<LayerFile> {
  const record = await readRecord(path);
  const data = await hashRange(path, dataAt, dataAt + record.dataBytes, signal);
  if (!data.equals(record.diffId)) throw dataLoss(`layer file ${path}: data is not that of its diff ID`);
  const rest = await hashRange(path, restAt(record), record.fileBytes, signal);
  if (!rest.equals(record.restHash)) throw dataLoss(`layer file ${path}: metadata has changed`);
  return describe(record);
}

async function readRecord(path: string): Promise<LayerRecord> {
  await using file = await open(path, 'r').catch((error: unknown) => {
    throw codeOf(error) === 'ENOENT' ? notFound(`layer file ${path} not found`, error) : error;
  });
  const { buffer, bytesRead } = await file.read(
    Buffer.alloc(superblock.bytes),
    0,
    superblock.bytes,
    superblock.at,
  );
  const record = decodeSuperblock(buffer.subarray(0, bytesRead));
  if (record === undefined) throw dataLoss(`layer file ${path} is unfinished or damaged`);
  const { size } = await file.stat();
  if (size !== record.fileBytes)
    throw dataLoss(`layer file ${path} has ${size} bytes, not the ${record.fileBytes} it should have`);
  return record;
}

async function hashRange(
  path: string,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const hash = createHash('sha256');
  if (start === end) return hash.digest();
  const stream = createReadStream(path, {
    start,
    end: end - 1,
    highWaterMark: readBytes,
    ...(signal && { signal }),
  });
  for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest();
}

const describe = (record: LayerRecord): LayerFile => ({
  diffId: `sha256:${record.diffId.toString('hex')}` as DiffId,
  sizeBytes: record.dataBytes,
  fileBytes: record.fileBytes,
  inodes: record.members,
});
