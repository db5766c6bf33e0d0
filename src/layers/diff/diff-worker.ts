import { createHash, type Hash } from 'node:crypto';
import { Readable, type Transform } from 'node:stream';
import { workerData } from 'node:worker_threads';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { LayerCompression } from '../../oci/media-types.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../../sys/constants.ts';
import { openAt } from '../../sys/files.ts';
import { packError, requestCounter } from '../worker-messages.ts';
import type { DiffJob, DiffMessage, DiffOutcome } from './diff-job.ts';
import { gathered } from './gathered.ts';
import { layerBytes } from './layer-bytes.ts';

/** The thread in which two trees are compared and their difference is packed (see diff.ts). It does one job and ends. */

const outputChunkBytes = 256 * 1024;
const gzipLevel = 6;
const zstdLevel = 3;

const job = workerData as DiffJob;
// The port stays open: whoever started this thread ends it once the last message has come.
run(job).then(
  (outcome) => job.port.postMessage({ outcome } satisfies DiffMessage),
  (error: unknown) => job.port.postMessage({ error: packError(error) } satisfies DiffMessage),
);

async function run(job: DiffJob): Promise<DiffOutcome> {
  const hash = createHash('sha256');
  const counted = { sizeBytes: 0 };
  const turns = requestCounter(job.port);
  for await (const bytes of compressed(uncompressed(job, hash, counted), job.compression)) {
    if (!(await turns.next())) break;
    // A copy of its own, so that it can be handed over.
    const chunk = Uint8Array.prototype.slice.call(bytes);
    job.port.postMessage({ chunk } satisfies DiffMessage, [chunk.buffer]);
  }
  return { diffId: `sha256:${hash.digest('hex')}`, sizeBytes: counted.sizeBytes };
}

function* uncompressed(job: DiffJob, hash: Hash, counted: { sizeBytes: number }): Generator<Buffer> {
  using right = openAt(AT_FDCWD, job.right, O_RDONLY | O_DIRECTORY);
  using left = job.left === undefined ? undefined : openAt(AT_FDCWD, job.left, O_RDONLY | O_DIRECTORY);
  const { opaqueXattr, latestNs } = job;
  for (const bytes of gathered(layerBytes({ left, right, opaqueXattr }, { latestNs }))) {
    hash.update(bytes);
    counted.sizeBytes += bytes.length;
    yield bytes;
  }
}

function compressed(bytes: Iterable<Buffer>, compression: LayerCompression): AsyncIterable<Buffer> {
  const source = Readable.from(bytes, { objectMode: true, highWaterMark: 2 });
  if (compression === 'none') return source;
  const packer = packerFor(compression);
  source.on('error', (error) => packer.destroy(error));
  return source.pipe(packer) as AsyncIterable<Buffer>;
}

function packerFor(compression: 'gzip' | 'zstd'): Transform {
  if (compression === 'gzip') return createGzip({ level: gzipLevel, chunkSize: outputChunkBytes });
  const params = { [constants.ZSTD_c_compressionLevel]: zstdLevel };
  return createZstdCompress({ chunkSize: outputChunkBytes, params });
}
