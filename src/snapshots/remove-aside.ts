import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import { WorkerPool } from '../layers/worker-pool.ts';
import { namesIn } from '../sys/names-in.ts';
import { removeTree } from '../sys/remove-tree.ts';

/** What goes to a removal worker. */
export interface RemoveJob {
  readonly path: string;
}

/** Up to here no thread is worth its start. */
const ownMs = 20;

const pool = new WorkerPool<RemoveJob, null>({
  // The build renames this file, so its own extension tells that of its neighbour.
  script: new URL(`./remove-worker${extname(import.meta.url)}`, import.meta.url),
  size: availableParallelism(),
  idleMs: 2_000,
});

/**
 * Removes the directory of a snapshot, which nothing else uses any more, without holding up the event loop: a layer file
 * may take the file system long, so it goes in libuv's threads; a tree that is not gone soon, in a thread of its own.
 * Idempotent. Never follows links, never crosses a mount. @throws as removeTree
 */
export async function removeAside(path: string): Promise<void> {
  for (const name of await namesIn(path))
    if (/^layer\./.test(name)) await rm(join(path, name), { force: true });
  if (!(await removeTree(path, { withinMs: ownMs }))) await pool.run({ path });
}
