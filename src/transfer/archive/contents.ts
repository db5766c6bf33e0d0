import { posix } from 'node:path';
import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { invalidArgument, resourceExhausted } from '../../errors/error.ts';
import type { TarEntry } from '../../layers/tar-entry.ts';
import { Ingest, type StoredBlob } from './ingest.ts';
import { archiveFiles, cleanPath, findBlobDigest } from './layout.ts';
import { type ArchiveStep, readMembers } from './members.ts';

/** containerd's limit on a JSON document of an archive (CVE-2023-25153). */
const documentLimitBytes = 20 * 1024 * 1024;
const maxMembers = 100_000;

/** What was in an archive. Its blobs are in the content store, under the caller's lease. */
export interface ArchiveContents {
  /** `oci-layout`, `index.json` and `manifest.json`, where they were there. */
  readonly documents: ReadonlyMap<string, Uint8Array>;
  /** Every other file by its path; links stand for what they lead to. */
  readonly files: ReadonlyMap<string, StoredBlob>;
}

const documentNames: ReadonlySet<string> = new Set(Object.values(archiveFiles));

/**
 * Reads an archive once, from front to back, and stores its files as blobs. Never holds more than one document in
 * memory. @throws invalid_argument (malformed), failed_precondition (a blob is not what its path says),
 *   resource_exhausted (over 100,000 members, a document over 20 MiB, disk full)
 */
export async function storeContents(
  content: ContentStore,
  ctx: Context,
  chunks: AsyncIterable<Buffer>,
): Promise<ArchiveContents> {
  const steps = readMembers(chunks);
  const documents = new Map<string, Uint8Array>();
  const files = new Map<string, StoredBlob>();
  const links = new Map<string, string>();
  let members = 0;
  for await (const step of steps) {
    if (step.kind !== 'begin') continue;
    if (++members > maxMembers) throw resourceExhausted(`archive: more than ${maxMembers} members`);
    const path = pathOf(step.entry.name);
    const link = linkOf(step.entry, path);
    if (link !== undefined) links.set(path, link);
    else if (step.entry.type !== 'file') await skip(steps);
    else if (documentNames.has(path)) documents.set(path, await readDocument(steps, step.entry, path));
    else files.set(path, await storeFile(content, ctx, steps, step.entry, path));
  }
  for (const [path, target] of links) resolveLink(files, links, path, target);
  return { documents, files };
}

const textOf = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');
const pathOf = (name: string): string => cleanPath(textOf(name));

/** docker-archives link to layers that several images share. */
function linkOf({ type, linkName }: TarEntry, path: string): string | undefined {
  if (type === 'symlink') return cleanPath(posix.join(posix.dirname(path), textOf(linkName)));
  return type === 'hardlink' ? pathOf(linkName) : undefined;
}

/** Links may lead to links, a few times; one that leads nowhere names nothing. */
function resolveLink(
  files: Map<string, StoredBlob>,
  links: ReadonlyMap<string, string>,
  path: string,
  target: string,
): void {
  let at: string | undefined = target;
  for (let hops = 0; hops < 8 && at !== undefined; hops++) {
    const found = files.get(at);
    if (found !== undefined) return void files.set(path, found);
    at = links.get(at);
  }
}

async function readDocument(
  steps: AsyncGenerator<ArchiveStep>,
  { sizeBytes }: TarEntry,
  path: string,
): Promise<Uint8Array> {
  if (sizeBytes > documentLimitBytes)
    throw resourceExhausted(`archive: ${path} is larger than ${documentLimitBytes} bytes`);
  const chunks: Buffer[] = [];
  await eachChunk(steps, async (chunk) => void chunks.push(Buffer.from(chunk)));
  return Buffer.concat(chunks);
}

async function storeFile(
  content: ContentStore,
  ctx: Context,
  steps: AsyncGenerator<ArchiveStep>,
  { sizeBytes }: TarEntry,
  path: string,
): Promise<StoredBlob> {
  await using ingest = await Ingest.open(content, ctx, findBlobDigest(path));
  await eachChunk(steps, (chunk) => ingest.write(chunk));
  return await ingest.commit(sizeBytes);
}

const skip = (steps: AsyncGenerator<ArchiveStep>) => eachChunk(steps, async () => {});

/** Up to the end of the member that has begun. */
async function eachChunk(
  steps: AsyncGenerator<ArchiveStep>,
  use: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  for (let step = await steps.next(); ; step = await steps.next()) {
    if (step.done === true) throw invalidArgument('archive: ends inside a member');
    if (step.value.kind === 'data') await use(step.value.chunk);
    else return;
  }
}
