import { invalidArgument } from '../../errors/error.ts';

/** A range of a user namespace, as the runtime specification has it. */
export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** As many as the kernel takes (UID_GID_MAP_MAX_EXTENTS). */
const maxRanges = 340;
const maxId = 2 ** 32 - 1;

/**
 * Ranges written as `inside:outside:size`, several with commas between, at least one of them with id 0.
 * @throws invalid_argument
 */
export function parseIdMap(text: string): IdMapping[] {
  const ranges = text.split(',', maxRanges + 1).map((range) => {
    const [, inside, outside, size] = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(range) ?? [];
    return { containerID: Number(inside), hostID: Number(outside), size: Number(size) };
  });
  const isMap = ranges.length <= maxRanges && ranges.every(isRange);
  if (isMap && ranges.some(({ containerID }) => containerID === 0)) return ranges;
  throw invalidArgument(
    `id map ${JSON.stringify(text.slice(0, 100))}: want inside:outside:size, … with somebody for id 0`,
  );
}

const isRange = ({ containerID, hostID, size }: IdMapping): boolean =>
  size > 0 && containerID + size <= maxId && hostID + size <= maxId;
