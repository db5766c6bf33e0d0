import { createHash } from 'node:crypto';
import { invalidArgument } from '../../errors/error.ts';
import type { IdRange } from '../../sys/user-namespace.ts';

/** Whose the files of a snapshot are: the maps of the user namespace of its container. */
export interface IdMaps {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
  /** The same for the same maps; short, because it is part of each lower directory's path. */
  readonly key: string;
}

const uidLabel = 'containerd.io/snapshot/uidmapping';
const gidLabel = 'containerd.io/snapshot/gidmapping';
/** As many as the kernel takes (UID_GID_MAP_MAX_EXTENTS). */
const maxRanges = 340;
const maxId = 2 ** 32 - 1;

/**
 * The maps that the labels of a snapshot ask for, `inside:outside:length`, several with commas between.
 * @throws invalid_argument for one without the other, or what no map can be
 */
export function idMapsOf(labels: Readonly<Record<string, string>>): IdMaps | undefined {
  const [uids, gids] = [labels[uidLabel], labels[gidLabel]];
  if (uids === undefined && gids === undefined) return undefined;
  if (uids === undefined || gids === undefined)
    throw invalidArgument(`labels ${uidLabel} and ${gidLabel} go together`);
  const key = createHash('sha256').update(`${uids} ${gids}`).digest('hex').slice(0, 8);
  return { uids: rangesOf(uidLabel, uids), gids: rangesOf(gidLabel, gids), key };
}

function rangesOf(label: string, value: string): IdRange[] {
  const ranges = value.split(',', maxRanges + 1).map((text) => {
    const [, inside, outside, length] = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
    return { inside: Number(inside), outside: Number(outside), length: Number(length) };
  });
  if (ranges.length <= maxRanges && ranges.every(isRange)) return ranges;
  throw invalidArgument(`label ${label} ${JSON.stringify(value)} is not inside:outside:length, …`);
}

const isRange = ({ inside, outside, length }: IdRange): boolean =>
  length > 0 && inside + length <= maxId && outside + length <= maxId;

/** Whose a file is outside; owners that no range has stay. */
export const ownerOutside = (
  { uids, gids }: IdMaps,
  uid: number,
  gid: number,
): [uid: number, gid: number] => [outsideOf(uids, uid) ?? uid, outsideOf(gids, gid) ?? gid];

/** Who root is outside, and its group. @throws invalid_argument when the maps have no root */
export const rootOf = ({ uids, gids }: IdMaps): [uid: number, gid: number] => [
  outsideOf(uids, 0) ?? nobody(uidLabel),
  outsideOf(gids, 0) ?? nobody(gidLabel),
];

const nobody = (label: string): never => {
  throw invalidArgument(`label ${label} has nobody for id 0`);
};

function outsideOf(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ inside, length }) => id >= inside && id < inside + length);
  return range && range.outside + id - range.inside;
}
