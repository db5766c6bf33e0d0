import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../async/context.ts';
import { type Node, nodeOf, partsOf } from '../metadata/changes.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { diskUsage } from '../snapshots/disk-usage.ts';
import { AT_FDCWD } from '../sys/constants.ts';
import { statAt } from '../sys/stat.ts';
import { type Holdings, resourceOf } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import type { StorageUsage, UsageItem } from './storage.ts';
import { containersInUse, imagesInUse } from './uses.ts';

/** Names of parts by path below the root; what is not named here is `other`. */
const partNames: Readonly<Record<string, string>> = {
  'content/blobs': 'content',
  'content/ingest': 'ingests',
  'metadata.db': 'database',
  'metadata.db-wal': 'database',
  'metadata.db-shm': 'database',
  logs: 'logs',
};

/** Directories whose entries are parts of their own. */
const split = new Set(['', 'content', 'snapshots']);

/** Measures everything below `root`. The parts add up to the whole. */
export async function measureRoot(root: string): Promise<Pick<StorageUsage, 'root' | 'diskBytes' | 'parts'>> {
  const parts = new Map<string, number>();
  const add = (name: string, bytes: number): void => {
    parts.set(name, (parts.get(name) ?? 0) + bytes);
  };
  const measure = async (path: string): Promise<void> => {
    const stat = statAt(AT_FDCWD, join(root, path));
    if (!split.has(path)) {
      const isDirectory = (stat.mode & 0o170000) === 0o040000;
      return add(
        nameOf(path),
        isDirectory ? (await diskUsage(join(root, path))).sizeBytes : stat.blocks * 512,
      );
    }
    add('other', stat.blocks * 512);
    for (const name of await readdir(join(root, path))) await measure(path === '' ? name : `${path}/${name}`);
  };
  await measure('');
  const list = [...parts].map(([name, diskBytes]) => ({ name, diskBytes }));
  return { root, diskBytes: list.reduce((sum, { diskBytes }) => sum + diskBytes, 0), parts: list };
}

const nameOf = (path: string): string => partNames[path] ?? (path.startsWith('snapshots/') ? path : 'other');

/** What each image, container and lease holds, and each snapshot, blob and ingest is. */
export async function usageItems(
  parts: StorageParts,
  ctx: Context,
  holdings: Holdings,
): Promise<UsageItem[]> {
  const { metadata } = parts;
  const used = imagesInUse(metadata, holdings);
  const running = await containersInUse(parts, ctx);
  const holders = [...recorded(metadata)].map(([node, updatedAt]) => ({
    resource: resourceOf(node),
    bytes: holdings.bytesOf(node),
    uniqueBytes: holdings.uniqueBytesOf(node),
    inUse: partsOf(node).type === 'lease' || used.has(node) || running.has(node),
    updatedAt,
  }));
  const held = [...holdings.things].map(([node, { bytes, updatedAt }]) => {
    const inUse = holdings.isKept(node);
    return { resource: resourceOf(node), bytes, uniqueBytes: inUse ? 0 : bytes, inUse, updatedAt };
  });
  return [...holders, ...held];
}

interface Row {
  namespace: string;
  id: string;
  updated_at: number;
}

function* recorded({ db }: Metadata): Generator<[Node, Date]> {
  const queries = {
    image: 'SELECT namespace, name AS id, updated_at FROM images ORDER BY namespace, name',
    container: 'SELECT namespace, id, updated_at FROM containers ORDER BY namespace, id',
    lease: 'SELECT namespace, id, created_at AS updated_at FROM leases ORDER BY namespace, id',
  } as const;
  for (const type of ['image', 'container', 'lease'] as const)
    for (const { namespace, id, updated_at } of db.all<Row>(queries[type]))
      yield [nodeOf(type, namespace, id), new Date(updated_at)];
}
