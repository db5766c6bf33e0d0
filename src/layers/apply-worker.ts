import { createHash } from 'node:crypto';
import { read, readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { aborted } from '../errors/error.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt, syncFileSystem } from '../sys/files.ts';
import { passedThrough } from '../sys/free-memory.ts';
import { mountTemporarily } from '../sys/temp-mount.ts';
import { type ApplyCounter, count } from './apply-counter.ts';
import type { ApplyJob, ApplyOutcome, FinishJob } from './apply-job.ts';
import { decompress } from './decompress.ts';
import { DirectoryWriter } from './directory-writer.ts';
import { LayerBuilder } from './erofs/layer-builder.ts';
import { LayerOutput } from './erofs/layer-output.ts';
import { finish } from './finish.ts';
import { type GrowingSource, grownPast } from './growing-source.ts';
import type { TarSink } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';
import type { LayerTarget } from './target.ts';
import { finishLayer } from './unfinished.ts';
import type { WhiteoutStyle } from './whiteouts.ts';
import { type JobMessage, packError, receiveStream } from './worker-messages.ts';

/** The thread in which a layer is inflated, hashed and written (see apply.ts). One job at a time. */

const readElsewhere = promisify(read);
const processors = availableParallelism();
const readChunkBytes = 512 * 1024;
/** Cancellation is looked at after so many bytes: a few milliseconds, also when the layer is all tiny files. */
const sliceBytes = 256 * 1024;

parentPort?.on('message', (message: JobMessage<ApplyJob | FinishJob>) => {
  run(message).then(
    (outcome) => parentPort?.postMessage({ outcome }),
    (error: unknown) => parentPort?.postMessage({ error: packError(error) }),
  );
});

async function run({ job, ...rest }: JobMessage<ApplyJob | FinishJob>): Promise<ApplyOutcome | undefined> {
  return 'finish' in job ? await finish(job) : await apply({ job, ...rest });
}

async function apply(message: JobMessage<ApplyJob>): Promise<ApplyOutcome> {
  const { target } = message.job;
  if (target.kind === 'layer-file') return await applyToFile(message, target);
  if (target.kind !== 'mount') return await applyToDirectory(message, target);
  await using mounted = await mountTemporarily(target.mounts);
  return await applyToDirectory(message, { kind: 'plain', directory: mounted.path });
}

async function applyToFile(
  message: JobMessage<ApplyJob>,
  { path, lowest }: FileTarget,
): Promise<ApplyOutcome> {
  await using output = new LayerOutput(path);
  const builder = new LayerBuilder(message.job.limits, { lowest });
  const { diffId, sizeBytes } = await untar(message, builder, (chunk) => output.write(chunk));
  output.finish(builder, diffId);
  if (message.job.sync) await output.sync();
  return { diffId: textOf(diffId), sizeBytes, inodes: builder.members, ...builder.unfinished() };
}

type FileTarget = Extract<LayerTarget, { kind: 'layer-file' }>;
type DirectoryTarget = Exclude<LayerTarget, { kind: 'mount' | 'layer-file' }>;

async function applyToDirectory(
  message: JobMessage<ApplyJob>,
  target: DirectoryTarget,
): Promise<ApplyOutcome> {
  const { job } = message;
  using root = openAt(AT_FDCWD, target.directory, O_RDONLY | O_DIRECTORY);
  using writer = new DirectoryWriter(root, {
    whiteouts: whiteoutsOf(target),
    empty: isEmpty(root),
    umask: processUmask(),
    maxEntries: job.limits.entries,
  });
  const { diffId, sizeBytes } = await untar(message, writer);
  let unfinished = writer.finish();
  if (target.kind === 'overlay' && target.lower.length > 0) {
    await finishLayer(target.directory, target.lower, unfinished);
    unfinished = { implicitDirectories: [], links: [] };
  }
  if (job.sync) await syncFileSystem(root);
  return { diffId: textOf(diffId), sizeBytes, inodes: writer.inodes, ...unfinished };
}

const textOf = (diffId: Buffer): string => `sha256:${diffId.toString('hex')}`;

/** Hands the members to `sink`, and before them the bytes they are in to `onChunk`. */
async function untar(
  { job, cancel, stream }: JobMessage<ApplyJob>,
  sink: TarSink,
  onChunk: (chunk: Buffer) => void = () => {},
): Promise<{ diffId: Buffer; sizeBytes: number }> {
  const reader = new TarReader(sink);
  const hash = createHash('sha256');
  const stop = new Int32Array(cancel);
  let sizeBytes = 0;
  const spare = () => Atomics.load(job.underWay, 0) < processors;
  for await (const chunk of decompress(sourceOf(job, stream), job.mediaType, job.limits, { spare })) {
    hash.update(chunk);
    sizeBytes += chunk.length;
    onChunk(chunk);
    for (let at = 0; at < chunk.length; at += sliceBytes) {
      if (Atomics.load(stop, 0) !== 0) throw aborted('layer apply was cancelled');
      reader.push(chunk.subarray(at, at + sliceBytes));
      count(job.counter, 1, sliceBytes);
    }
  }
  reader.finish();
  return { diffId: hash.digest(), sizeBytes };
}

function sourceOf(job: ApplyJob, stream: MessagePort | undefined): AsyncIterable<Buffer> {
  if (job.file !== undefined) return counted(job.file, job.counter);
  if (stream === undefined) throw new TypeError('a job needs a file or a stream');
  return receiveStream(stream);
}

async function* counted(
  file: NonNullable<ApplyJob['file']>,
  counter: ApplyCounter | undefined,
): AsyncGenerator<Buffer> {
  for await (const piece of 'path' in file ? wholeFile(file.path) : growingFile(file)) {
    yield piece;
    count(counter, 0, piece.length);
    passedThrough(piece.length);
  }
}

/** A file in pieces of one buffer, each valid until the next: as garbage they would wait for the collector. */
async function* wholeFile(path: string): AsyncGenerator<Buffer> {
  await using file = await open(path);
  const buffer = Buffer.allocUnsafeSlow(readChunkBytes);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, readChunkBytes, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The same behind whoever writes it. */
async function* growingFile({ fd, sizeBytes, grown }: GrowingSource): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(readChunkBytes);
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(readChunkBytes, (await grownPast(grown, at)) - at);
    const { bytesRead } = await readElsewhere(fd, buffer, 0, length, at);
    if (bytesRead === 0) throw aborted('what was read began again');
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function whiteoutsOf(target: DirectoryTarget): WhiteoutStyle {
  if (target.kind === 'plain') return 'plain';
  return target.userXattr ? 'overlay-userxattr' : 'overlay';
}

const isEmpty = (root: Fd): boolean => readdirSync(root.procPath).length === 0;

/** Read, not asked for with umask(2), which would change it for a moment. */
function processUmask(): number {
  const line = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return Number.parseInt(line?.[1] ?? '0777', 8);
}
