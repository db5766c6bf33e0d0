import { existsSync, renameSync } from 'node:fs';
import { readdir, realpath, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { codeOf, failedPrecondition, notFound } from '../../errors/error.ts';
import { AT_FDCWD } from '../../sys/constants.ts';
import { listMounts, mountsMention } from '../../sys/mountinfo.ts';
import { statAt } from '../../sys/stat.ts';
import type { LayerFileTarget } from '../apply-target.ts';
import type { Mount } from '../snapshotter.ts';
import type { SnapshotPaths } from './snapshot-paths.ts';

/** A layer file being written for an active snapshot. */
export interface LayerClaim extends LayerFileTarget, AsyncDisposable {}

/** Which active snapshots are about to become layer files. */
export class LayerClaims {
  readonly #paths: SnapshotPaths;
  readonly #onAdopt: (id: number) => void;
  readonly #claimed = new Set<number>();

  constructor(paths: SnapshotPaths, onAdopt: (id: number) => void) {
    this.#paths = paths;
    this.#onAdopt = onAdopt;
  }

  has(id: number): boolean {
    return this.#claimed.has(id);
  }

  /** Undefined for a snapshot that holds files, is mounted somewhere, or is claimed already. */
  async claim(
    id: number,
    beneath: Pick<LayerFileTarget, 'lower' | 'lowest'>,
  ): Promise<LayerClaim | undefined> {
    if (this.#claimed.has(id)) return undefined;
    this.#claimed.add(id);
    if (await this.#isUnused(id).catch(() => false)) return this.#make(id, beneath);
    this.#claimed.delete(id);
    return undefined;
  }

  /** For a committed snapshot, whose layer file is to be made again. @throws failed_precondition (it is being made) */
  reclaim(id: number, beneath: Pick<LayerFileTarget, 'lower' | 'lowest'>): LayerClaim {
    if (this.#claimed.has(id))
      throw failedPrecondition(`the layer file of snapshot ${id} is being made already`);
    this.#claimed.add(id);
    return this.#make(id, beneath);
  }

  async #isUnused(id: number): Promise<boolean> {
    const fs = this.#paths.fs(id);
    if ((await readdir(fs)).length > 0 || (await isMounted(id, fs))) return false;
    const partial = this.#paths.partialLayer(id);
    if (existsSync(partial)) await rm(partial, { force: true });
    return true;
  }

  #make(id: number, beneath: Pick<LayerFileTarget, 'lower' | 'lowest'>): LayerClaim {
    const path = this.#paths.partialLayer(id);
    return {
      ...beneath,
      path,
      adopt: async () => this.#adopt(id),
      [Symbol.asyncDispose]: async () => {
        if (!this.#claimed.delete(id)) return;
        await rm(path, { force: true });
      },
    };
  }

  #adopt(id: number): void {
    try {
      renameSync(this.#paths.partialLayer(id), this.#paths.layer(id));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') throw notFound(`snapshot ${id} was removed meanwhile`, error);
      throw error;
    }
    this.#onAdopt(id);
    this.#claimed.delete(id);
  }
}

/** Whoever has it mounted would not see a layer file that came beneath it. */
async function isMounted(id: number, fs: string): Promise<boolean> {
  if (!mountsMention(`/${id}/fs`)) return false;
  const mounts = listMounts();
  const { mountId } = statAt(AT_FDCWD, fs);
  const home = mounts.find(({ id }) => BigInt(id) === mountId);
  if (home === undefined) return true; // mounted or unmounted this very moment
  const place = join(home.root, relative(home.mountPoint, await realpath(fs)));
  return mounts.some(
    ({ major, minor, root, superOptions }) =>
      (root === place && major === home.major && minor === home.minor) ||
      superOptions.includes(`upperdir=${fs}`),
  );
}

/** The directory that writes to these mounts go to: an overlay's upperdir, a bind's source. */
export function writtenDirectory(mounts: readonly Mount[]): string | undefined {
  const [mount, ...more] = mounts;
  if (mount === undefined || more.length > 0 || mount.options.includes('ro')) return undefined;
  if (mount.type === 'bind' || mount.type === 'rbind') return mount.source;
  if (mount.type !== 'overlay') return undefined;
  return mount.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length);
}
