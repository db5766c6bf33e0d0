import { invalidArgument, resourceExhausted } from '../errors/error.ts';
import { defaultLayerLimits } from '../layers/limits.ts';
import type { ByteString, TarEntry } from '../layers/tar-entry.ts';
import { TarReader } from '../layers/tar-reader.ts';
import type { Fd } from '../sys/fd.ts';
import type { Owners } from './owners.ts';
import { PathWriter } from './path-writer.ts';
import { openDirectory, refuseKernelFiles } from './tree-path.ts';

/** An archive on its way into a directory. */
export interface ArchiveInto {
  /** The directory, from the root. */
  readonly at: ByteString;
  readonly owners: Owners;
  readonly rename?: (name: ByteString) => ByteString;
  readonly signal: AbortSignal;
  /** Told of bytes as they come. */
  readonly onBytes?: (total: number) => void;
}

/**
 * Unpacks a plain tar below a directory of `root`; see {@link PathWriter}. What was written stays when it fails.
 * @throws not_found and failed_precondition (the directory), invalid_argument (no tar, bad members), resource_exhausted, SysError
 */
export async function writeArchive(
  root: Fd,
  archive: AsyncIterable<Uint8Array>,
  { at, owners, rename, signal, onBytes }: ArchiveInto,
): Promise<void> {
  checkDirectory(root, at);
  const { entries: maxEntries, uncompressedBytes } = defaultLayerLimits;
  using writer = new PathWriter(root, { at, owners, maxEntries, ...(rename && { rename }) });
  const reader = new TarReader(writer);
  let total = 0;
  for await (const chunk of archive) {
    signal.throwIfAborted();
    total += chunk.byteLength;
    if (total > uncompressedBytes) throw resourceExhausted(`archive of more than ${uncompressedBytes} bytes`);
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    onBytes?.(total);
  }
  if (total === 0) throw invalidArgument('archive is empty: not even its end came');
  reader.finish();
  writer.finish();
}

function checkDirectory(root: Fd, at: ByteString): void {
  using directory = openDirectory(root, at);
  refuseKernelFiles(directory, at);
}

/** The first member of an archive; undefined where it has none. @throws invalid_argument */
export async function firstMember(archive: AsyncIterable<Uint8Array>): Promise<TarEntry | undefined> {
  let first: TarEntry | undefined;
  const reader = new TarReader({
    entry: (entry) => {
      first ??= entry;
    },
    data() {},
    end() {},
  });
  for await (const chunk of archive) {
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (first !== undefined) return first;
  }
  return first;
}
