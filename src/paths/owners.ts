import { invalidArgument } from '../errors/error.ts';
import type { IdRange } from '../sys/user-namespace.ts';

/** Owners as an archive has them and as the disk has them. */
export interface Owners {
  toArchive(uid: number, gid: number): Owner;
  /** @throws invalid_argument (an id that the container has not) */
  toDisk(uid: number, gid: number): Owner;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Nobody's id, for owners that a user namespace does not know. */
const overflowId = 65534;

/** Owners of a user namespace; without ranges they are the same on both sides. */
export function ownersOf(uids: readonly IdRange[], gids: readonly IdRange[]): Owners {
  return {
    toArchive: (uid, gid) => ({ uid: inside(uids, uid), gid: inside(gids, gid) }),
    toDisk: (uid, gid) => ({ uid: outside(uids, uid), gid: outside(gids, gid) }),
  };
}

/** Whatever an archive says, files belong to one owner, given as the archive's. */
export const ownedBy = (owners: Owners, { uid, gid }: Owner): Owners => ({
  toArchive: owners.toArchive,
  toDisk: () => owners.toDisk(uid, gid),
});

function inside(ranges: readonly IdRange[], id: number): number {
  if (ranges.length === 0) return id;
  const range = ranges.find((one) => id >= one.outside && id < one.outside + one.length);
  return range === undefined ? overflowId : range.inside + (id - range.outside);
}

function outside(ranges: readonly IdRange[], id: number): number {
  if (ranges.length === 0) return id;
  const range = ranges.find((one) => id >= one.inside && id < one.inside + one.length);
  if (range === undefined) throw invalidArgument(`owner ${id} is none of the container's`);
  return range.outside + (id - range.inside);
}
