import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { applyLayer } from '../../src/layers/apply.ts';
import { finishLayerFile } from '../../src/layers/erofs/finish-layer-file.ts';
import type { Unfinished } from '../../src/layers/unfinished.ts';
import { mountTemporarily, type TempMount } from '../../src/sys/temp-mount.ts';
import { tools } from './paths.ts';

/** The mount of a layer file. */
export const layerMount = (path: string) => [{ type: 'erofs', source: path, options: ['ro'] }];

/** Fails, with what it says, unless fsck.erofs finds nothing wrong. It goes down a deep tree by recursion. */
export function fsckErofs(path: string): void {
  const command = ['-c', 'ulimit -s unlimited; exec "$0" "$1"', join(tools, 'erofs/bin/fsck.erofs'), path];
  execFileSync('sh', command, { stdio: 'pipe', maxBuffer: 1 << 26 });
}

/** Mounted layers, top first. Disposing unmounts them. */
export interface LayerStack extends AsyncDisposable {
  readonly lower: readonly string[];
}

/** Plain tar layers as layer files made all at once, checked by fsck.erofs, completed and mounted in order. */
export async function stackLayerFiles(layers: readonly string[], scratch: string): Promise<LayerStack> {
  const directory = mkdtempSync(join(scratch, 'files-'));
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  const files = await Promise.all(
    layers.map(async (path, i) => {
      const layerFile = join(directory, `${i}.erofs`);
      const { unfinished } = await applyLayer({ source: { path }, mediaType, to: { layerFile } });
      return { path, layerFile, unfinished };
    }),
  );
  await using undo = new AsyncDisposableStack();
  const lower: string[] = [];
  for (const { path, layerFile, unfinished } of files) {
    const mounted = undo.use(await mountLayer(path, layerFile, lower, unfinished));
    lower.unshift(mounted.path);
  }
  const mounts = undo.move();
  return { lower, [Symbol.asyncDispose]: () => mounts.disposeAsync() };
}

/** A layer that links to files of lower ones becomes a directory. */
async function mountLayer(
  path: string,
  layerFile: string,
  lower: readonly string[],
  unfinished: Unfinished | undefined,
): Promise<TempMount> {
  if (unfinished && unfinished.links.length > 0) return await asDirectory(path, `${layerFile}.d`, lower);
  if (unfinished) await finishLayerFile(layerFile, lower, unfinished);
  fsckErofs(layerFile);
  return await mountTemporarily(layerMount(layerFile));
}

async function asDirectory(path: string, directory: string, lower: readonly string[]): Promise<TempMount> {
  mkdirSync(directory);
  const options = [`upperdir=${directory}`, ...(lower.length ? [`lowerdir=${lower.join(':')}`] : [])];
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  await applyLayer({ source: { path }, mediaType, to: [{ type: 'overlay', source: 'overlay', options }] });
  return { path: directory, [Symbol.asyncDispose]: async () => {} };
}
