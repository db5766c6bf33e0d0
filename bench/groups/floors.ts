import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { decompress } from '../../src/layers/decompress.ts';
import { cache, type Lab } from '../lab.ts';
import type { Row } from '../stats.ts';

const run = promisify(execFile);
const pieceBytes = 1 << 20;

/**
 * What no program that pulls the big image can do without, each alone in a loop, with the libraries that Berth has: processor
 * time, so that it says the same on a busy machine, and the time the disk takes.
 */
export async function* floors({ dir }: Lab): AsyncGenerator<Row> {
  const gzip = await layersOf('big/oci');
  const zstd = await layersOf('variants/zstd');
  const blobBytes = await sizeOf(gzip);
  let tarBytes = 0;
  const inflated = async (layers: readonly string[], kind: string): Promise<void> => {
    tarBytes = 0;
    for (const layer of layers) tarBytes += await inflate(layer, kind);
  };
  const inflateGzip = await processorSeconds(() => inflated(gzip, 'gzip'));
  yield floor('inflate the big image in gzip (igzip), processor time', inflateGzip);
  const inflateZstd = await processorSeconds(() => inflated(zstd, 'zstd'));
  yield floor('inflate the same in zstd, processor time', inflateZstd);
  const sizes = `${megabytes(blobBytes)} + ${megabytes(tarBytes)} MB`;
  const hash = await processorSeconds(() => hashBytes(blobBytes + tarBytes));
  yield floor(`SHA-256 of ${sizes}, processor time`, hash);
  const file = join(dir, 'floor');
  const write = await processorSeconds(() => writeBytes(file, blobBytes + tarBytes));
  yield floor(`write ${sizes} into the page cache, processor time`, write);
  const cores = cpus().length;
  yield floor(`these over ${cores} cores, gzip`, (inflateGzip + hash + write) / cores);
  yield floor(`these over ${cores} cores, zstd`, (inflateZstd + hash + write) / cores);
  await run('sync', [file]);
  const start = performance.now();
  await run('sh', ['-ec', `cp ${file} ${file}.copy && sync ${file}.copy`]);
  yield floor(`write and sync ${sizes} in one file (cp)`, (performance.now() - start) / 1000);
}

const floor = (figure: string, seconds: number): Row => ({
  figure: `floor: ${figure}`,
  unit: 's',
  berth: [seconds],
});

const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

async function layersOf(layout: string): Promise<string[]> {
  const blobs = join(cache, layout, 'blobs/sha256');
  const paths = (await readdir(blobs)).map((name) => join(blobs, name));
  const sizes = await Promise.all(paths.map((path) => sizeOf([path])));
  return paths.filter((_, i) => (sizes[i] ?? 0) > pieceBytes);
}

async function sizeOf(paths: readonly string[]): Promise<number> {
  const stats = await Promise.all(paths.map((path) => stat(path)));
  return stats.reduce((sum, { size }) => sum + size, 0);
}

/** Of all threads of this process, in user and kernel, while `work` runs. */
async function processorSeconds(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function inflate(path: string, kind: string): Promise<number> {
  const source = createReadStream(path, { highWaterMark: pieceBytes });
  const mediaType = `application/vnd.oci.image.layer.v1.tar+${kind}`;
  let bytes = 0;
  for await (const piece of decompress(source, mediaType, undefined, { spare: () => false }))
    bytes += piece.length;
  return bytes;
}

async function hashBytes(bytes: number): Promise<void> {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(pieceBytes, 'layer');
  for (let done = 0; done < bytes; done += piece.length) hash.update(piece);
  hash.digest();
}

async function writeBytes(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'w');
  const piece = Buffer.alloc(pieceBytes, 'layer');
  for (let done = 0; done < bytes; done += piece.length) await file.write(piece);
}
