import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { codeOf } from '../../src/errors/error.ts';
import { AT_FDCWD } from '../../src/sys/constants.ts';
import { RENAME_EXCHANGE, renameAt } from '../../src/sys/files.ts';

// The other side of the race tests: swaps two names again and again until the thread is ended.
const { dir, a, b } = workerData as { dir: string; a: string; b: string };
parentPort?.postMessage('running');
for (;;) {
  try {
    renameAt(AT_FDCWD, join(dir, a), AT_FDCWD, join(dir, b), RENAME_EXCHANGE);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
