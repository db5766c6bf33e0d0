import type { DriverSnapshot } from '../driver.ts';
import { idMapsOf } from './id-maps.ts';

/** The active snapshots and views there are. What they stand on has to be mounted. */
export class Standing {
  readonly #snapshots = new Map<number, DriverSnapshot>();

  add(snapshot: DriverSnapshot): void {
    this.#snapshots.set(snapshot.id, snapshot);
  }

  /** @returns whether it was there */
  delete(id: number): boolean {
    return this.#snapshots.delete(id);
  }

  get(id: number): DriverSnapshot | undefined {
    return this.#snapshots.get(id);
  }

  /** Does anything stand on `id`, or is it standing itself? */
  needs(id: number): boolean {
    if (this.#snapshots.has(id)) return true;
    for (const { parents } of this.#snapshots.values()) if (parents.includes(id)) return true;
    return false;
  }

  /** Those whose files are to be seen with other owners. */
  mapped(): DriverSnapshot[] {
    return [...this.#snapshots.values()].filter(({ labels }) => idMapsOf(labels) !== undefined);
  }

  /** Does anything stand on the directory that is mounted with mapped owners as `<id><f?>-<key of the maps>`? */
  needsMapped(name: string): boolean {
    const [source = '', key] = name.split('-');
    const id = Number.parseInt(source, 10);
    return this.mapped().some(
      ({ id: own, parents, labels }) => idMapsOf(labels)?.key === key && (own === id || parents.includes(id)),
    );
  }

  /** Every id that {@link needs} is true for. */
  all(): Set<number> {
    const ids = new Set<number>();
    for (const { id, parents } of this.#snapshots.values()) {
      ids.add(id);
      for (const parent of parents) ids.add(parent);
    }
    return ids;
  }
}
