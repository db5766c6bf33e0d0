import { existsSync } from 'node:fs';
import { dataLoss } from '../../errors/error.ts';
import { LostSnapshot } from '../lost-snapshot.ts';
import type { SnapshotPaths } from './snapshot-paths.ts';

/** What a snapshot consists of: a directory, a layer file, or a directory above a layer file. */
export interface Body {
  readonly directory: boolean;
  readonly layer: boolean;
}

/** Remembers what each snapshot consists of. Only this driver changes it, and says so here. */
export class Bodies {
  readonly #paths: SnapshotPaths;
  readonly #known = new Map<number, Body>();

  constructor(paths: SnapshotPaths) {
    this.#paths = paths;
  }

  /** @throws LostSnapshot when there is neither, or a directory that stood above a layer file is alone */
  of(id: number): Body {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const body = this.#read(id);
    this.#known.set(id, body);
    return body;
  }

  set(id: number, body: Body): void {
    this.#known.set(id, body);
  }

  forget(id: number): void {
    this.#known.delete(id);
  }

  #read(id: number): Body {
    const directory = existsSync(this.#paths.fs(id));
    const layer = existsSync(this.#paths.layer(id));
    if (!layer && (!directory || existsSync(this.#paths.layered(id))))
      throw new LostSnapshot(id, dataLoss('its layer file is missing'));
    return { directory, layer };
  }
}
