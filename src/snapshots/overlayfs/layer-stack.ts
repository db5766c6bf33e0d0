import type { Log } from '../../async/context.ts';
import { messageOf } from '../../errors/error.ts';
import type { DriverSnapshot } from '../driver.ts';
import type { Bodies } from './bodies.ts';
import { type IdMaps, idMapsOf } from './id-maps.ts';
import type { LayerMounts } from './layer-mounts.ts';
import type { MappedMounts, MappedSource } from './mapped-mounts.ts';
import type { SnapshotPaths } from './snapshot-paths.ts';
import { Standing } from './standing.ts';

/** Layers that are mounted at a time when a daemon starts. */
const restoreWidth = 4;

export interface LayerStackOptions {
  readonly layers: LayerMounts;
  readonly mapped: MappedMounts;
  /** How long a layer stays mounted after the last snapshot on it has gone. */
  readonly idleMs: number;
  readonly log: Log;
}

/** The directories beneath snapshots: keeps layers mounted while an active snapshot or a view stands on them. */
export class LayerStack implements AsyncDisposable {
  readonly #paths: SnapshotPaths;
  readonly #bodies: Bodies;
  readonly #mounts: LayerMounts;
  readonly #mapped: MappedMounts;
  readonly #options: LayerStackOptions;
  readonly #standing = new Standing();
  #restoring: Promise<void> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(paths: SnapshotPaths, bodies: Bodies, options: LayerStackOptions) {
    this.#paths = paths;
    this.#bodies = bodies;
    this.#mounts = options.layers;
    this.#mapped = options.mapped;
    this.#options = options;
  }

  /** Mounts again what these stand on and unmounts what nothing stands on, behind the back of whoever calls. */
  restore(standing: readonly DriverSnapshot[]): void {
    for (const snapshot of standing) this.#standing.add(snapshot);
    this.#restoring = this.#restore();
  }

  /** From now on what `snapshot` stands on stays mounted, once it is. */
  enter(snapshot: DriverSnapshot): void {
    this.#standing.add(snapshot);
  }

  /** The snapshot is committed or gone. */
  leave(id: number): void {
    if (!this.#standing.delete(id) || this.#closed) return;
    this.#idle ??= setTimeout(() => void this.#unmountIdle(), this.#options.idleMs).unref();
  }

  /** An active snapshot or view. */
  find(id: number): DriverSnapshot | undefined {
    return this.#standing.get(id);
  }

  /**
   * The directories that these committed snapshots consist of, in this order, ready to be stacked, with owners as `maps`
   * says. @throws LostSnapshot, SysError (EINVAL: owners cannot be mapped here)
   */
  async directories(ids: readonly number[], maps?: IdMaps): Promise<string[]> {
    await this.#mounts.ensure(ids.filter((id) => this.#bodies.of(id).layer));
    return this.#seen(
      ids.flatMap((id) => this.#sources(id)),
      maps,
    );
  }

  /** Where the layer file of one snapshot is mounted. @throws LostSnapshot */
  async layer(id: number, maps?: IdMaps): Promise<string[]> {
    await this.#mounts.ensure([id]);
    return this.#seen([this.#layerSource(id)], maps);
  }

  /** Unmounts the layer of a snapshot that is being removed. */
  drop(id: number): Promise<void> {
    return this.#mounts.drop(id);
  }

  /** Unmounts layers that are not `known`. */
  async dropUnknown(known: ReadonlySet<number>): Promise<void> {
    for (const id of this.#mounts.ids) if (!known.has(id)) await this.#mounts.drop(id);
  }

  /** Unmounts what nothing stands on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#restoring;
    await this.#unmountIdle();
  }

  #seen(sources: readonly MappedSource[], maps: IdMaps | undefined): Promise<string[]> | string[] {
    return maps === undefined ? sources.map(({ path }) => path) : this.#mapped.ensure(sources, maps);
  }

  #sources(id: number): MappedSource[] {
    const { directory, layer } = this.#bodies.of(id);
    const fs = { name: `${id}f`, path: this.#paths.fs(id) };
    return [...(directory ? [fs] : []), ...(layer ? [this.#layerSource(id)] : [])];
  }

  #layerSource(id: number): MappedSource {
    return { name: String(id), path: this.#mounts.path(id) };
  }

  async #restore(): Promise<void> {
    const ids = [...this.#standing.all()];
    const next = async (): Promise<void> => {
      for (let id = ids.pop(); id !== undefined && !this.#closed; id = ids.pop()) await this.#restoreOne(id);
    };
    await Promise.all(Array.from({ length: restoreWidth }, next));
    for (const snapshot of this.#standing.mapped()) await this.#restoreMapped(snapshot);
    await this.#unmountIdle();
  }

  async #restoreOne(id: number): Promise<void> {
    try {
      if (this.#standing.needs(id) && this.#bodies.of(id).layer) await this.#mounts.ensure([id]);
    } catch (error) {
      this.#options.log.error({ id, error: messageOf(error) }, 'layer cannot be mounted');
    }
  }

  async #restoreMapped({ id, labels, parents }: DriverSnapshot): Promise<void> {
    try {
      if (this.#standing.needs(id) && !this.#closed) await this.directories(parents, idMapsOf(labels));
    } catch (error) {
      this.#options.log.error({ id, error: messageOf(error) }, 'layers cannot be mounted with mapped owners');
    }
  }

  async #unmountIdle(): Promise<void> {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    for (const name of this.#mapped.names)
      await this.#mapped.drop(name, () => this.#standing.needsMapped(name));
    const needed = this.#standing.all();
    for (const id of this.#mounts.ids)
      if (!needed.has(id)) await this.#mounts.drop(id, () => this.#standing.needs(id));
  }
}
