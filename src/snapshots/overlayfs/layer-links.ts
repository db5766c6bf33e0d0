import { link, rm } from 'node:fs/promises';
import { codeOf, isKind } from '../../errors/error.ts';
import { readLayerFile, verifyLayerFile } from '../../layers/erofs/layer-file.ts';
import type { Bodies } from './bodies.ts';
import type { SnapshotPaths } from './snapshot-paths.ts';

/** The other has just gone, has as many names as a file may have, or counts for another project. */
const unshared: ReadonlySet<string | undefined> = new Set(['ENOENT', 'EMLINK', 'EXDEV']);

/** Gives layer files second names: the last who has one takes the file away. */
export class LayerLinks {
  readonly #paths: SnapshotPaths;
  readonly #bodies: Bodies;

  constructor(paths: SnapshotPaths, bodies: Bodies) {
    this.#paths = paths;
    this.#bodies = bodies;
  }

  /**
   * Makes `path` a name of the layer file of a committed snapshot. False where it has none, or is more than that, or its file
   * is cut short, or with `verify` damaged anywhere; then there is nothing at `path`.
   */
  async link(from: number, path: string, verify?: { readonly signal: AbortSignal }): Promise<boolean> {
    try {
      const { directory, layer } = this.#bodies.of(from);
      if (directory || !layer) return false;
      await link(this.#paths.layer(from), path);
      await (verify === undefined ? readLayerFile(path) : verifyLayerFile(path, verify.signal));
      return true;
    } catch (error) {
      await rm(path, { force: true });
      if (isKind(error, 'data_loss') || unshared.has(codeOf(error))) return false;
      throw error;
    }
  }
}
