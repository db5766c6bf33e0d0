import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** Makes one name a file, a directory, a link out and nothing by turns, until it is terminated. */
const { path, outside } = workerData as { readonly path: string; readonly outside: string };
const kinds = [
  () => writeFileSync(path, 'mine', { flag: 'wx' }),
  () => mkdirSync(path),
  () => symlinkSync(outside, path),
  () => undefined,
];
for (let i = 0; ; i++) {
  try {
    rmSync(path, { recursive: true, force: true });
    kinds[i % kinds.length]?.();
  } catch {
    // The writer was there first.
  }
  if (i === kinds.length) parentPort?.postMessage('started');
}
