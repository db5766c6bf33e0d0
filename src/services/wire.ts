import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';

/** Date ▶ Timestamp. */
export const toTimestamp = (date: Date): Timestamp => timestampFromDate(date);

/** Timestamp ▶ Date, the epoch when absent. */
export const fromTimestamp = (timestamp: Timestamp | undefined): Date =>
  timestamp === undefined ? new Date(0) : timestampDate(timestamp);
