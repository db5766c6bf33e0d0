import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import type { ContentStore, ContentWriter } from '../content/store.ts';
import { failedPrecondition, isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { BlobFile } from '../registry/blobs.ts';
import { passedThrough } from '../sys/free-memory.ts';
import { BatchedWriter } from './batched-writer.ts';
import type { BlobStep, Source, Wanted } from './blobs.ts';
import { GrowingBlob } from './growing-blob.ts';
import { refKey, sourceLabel } from './labels.ts';
import { undo } from './lease.ts';
import type { TransferParts } from './parts.ts';
import { throttled } from './progress.ts';

interface Asker {
  readonly tell: (step: BlobStep) => void;
  /** Whether bytes that are all here from before may be used. @throws permission_denied */
  readonly allowed: () => Promise<void>;
}

/** Where bytes go, and who is told of them. */
interface Ingest {
  readonly writer: ContentWriter;
  readonly grew: (offset: number) => void;
  /** Drops everything. */
  readonly restart: () => Promise<void>;
}

/**
 * Brings a blob to the content store, whose ingest is kept for the next time where the bytes broke off. Those who are told
 * may work on the file while it grows. @throws as ensureBlob
 */
export async function download(
  parts: TransferParts,
  ctx: Context,
  wanted: Wanted,
  source: Source,
  asker: Asker,
): Promise<void> {
  using _slot = await parts.downloads.acquire(wanted.customer.id, ctx.signal);
  let keep = false;
  try {
    // Without the lease, so that what was cut off outlives it; the blob itself is leased already (isHere).
    await using writer = await openWriter(parts.content, { ...ctx, lease: undefined }, wanted.descriptor);
    using growing = await growingOf(writer, wanted.descriptor);
    try {
      await fillOrRefill(ctx, ingest(writer, growing, asker), wanted, source, asker);
    } catch (error) {
      growing?.giveUp();
      keep = writer.status.offset > 0 && !isKind(error, 'failed_precondition');
      throw error;
    }
  } catch (error) {
    if (isKind(error, 'already_exists')) return;
    if (!keep) await undo(ctx, 'drop ingest', (late) => parts.content.abort(late, refKey(wanted.descriptor)));
    throw error;
  }
}

function ingest(writer: ContentWriter, growing: GrowingBlob | undefined, { tell }: Asker): Ingest {
  const report = throttled((offset) => tell({ phase: 'downloading', offset, growing }));
  return {
    writer,
    grew(offset) {
      growing?.grewTo(offset);
      report(offset);
    },
    async restart() {
      growing?.giveUp();
      await writer.truncate(0);
    },
  };
}

/** Undefined where there is no file on this machine, or nothing is missing from it. */
async function growingOf(writer: ContentWriter, { size }: Descriptor): Promise<GrowingBlob | undefined> {
  const { offset } = writer.status;
  if (writer.tail === undefined || offset >= size) return undefined;
  return new GrowingBlob((await writer.tail()).fd, offset, size);
}

/** What was kept from before, or how it came, may be what is wrong: then once more from the start. */
async function fillOrRefill(
  ctx: Context,
  to: Ingest,
  wanted: Wanted,
  source: Source,
  asker: Asker,
): Promise<void> {
  const kept = to.writer.status.offset;
  try {
    await fill(ctx, to, wanted, source, asker);
  } catch (error) {
    if (!isKind(error, 'failed_precondition')) throw error;
    const otherwise = source.doubt?.(wanted.descriptor) === true;
    if (kept === 0 && !otherwise) throw error;
    await to.restart();
    await fill(ctx, to, wanted, source, asker);
  }
}

/** The rest of the bytes, behind those that are there. */
async function fill(
  ctx: Context,
  to: Ingest,
  wanted: Wanted,
  source: Source,
  { allowed }: Asker,
): Promise<void> {
  const { digest, size } = wanted.descriptor;
  const from = to.writer.status.offset;
  if (from > size)
    throw failedPrecondition(`${digest}: ${from} bytes are here already, described with ${size}`);
  if (from === size) await allowed();
  const open = (file: BlobFile | undefined) => source(ctx, wanted.descriptor, from, file);
  await copy(open, to, size - from, ctx.signal);
  const labels = { ...wanted.labels, ...sourceLabel(wanted.reference) };
  await to.writer.commit({ sizeBytes: size, expected: digest, labels });
}

/** Whatever came is written, also when the connection breaks, so that the next one can go on from there. */
async function copy(
  open: (file: BlobFile | undefined) => AsyncIterable<Uint8Array>,
  to: Ingest,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const write = async (data: Uint8Array) => {
    await to.writer.write(data);
    to.grew(to.writer.status.offset);
  };
  const batched = new BatchedWriter(write, sizeBytes);
  try {
    for await (const chunk of open(fileOf(to, batched))) {
      signal.throwIfAborted();
      await batched.add(chunk);
      passedThrough(chunk.byteLength);
    }
  } catch (error) {
    await batched.end().catch(() => {});
    throw error;
  }
  await batched.end();
}

/** The writer's file, where it has one here, for a source that can write there by itself. */
function fileOf({ writer, grew }: Ingest, batched: BatchedWriter): BlobFile | undefined {
  if (writer.tail === undefined) return undefined;
  const open = writer.tail.bind(writer);
  return {
    async begin() {
      await batched.end();
      const tail = await open();
      const reported = (bytes: number) => {
        tail.grew(bytes);
        grew(writer.status.offset);
      };
      return { fd: tail.fd, grew: reported, failed: tail.failed };
    },
  };
}

const writerPollMs = 100;

/** A client may be writing the very same blob by itself: then this waits for it. */
async function openWriter(
  content: ContentStore,
  ctx: Context,
  descriptor: Descriptor,
): Promise<ContentWriter> {
  while (true) {
    try {
      return await content.writer(ctx, {
        ref: refKey(descriptor),
        total: descriptor.size,
        expected: descriptor.digest,
      });
    } catch (error) {
      if (!isKind(error, 'unavailable')) throw error;
      await sleep(writerPollMs, undefined, { signal: ctx.signal });
    }
  }
}
