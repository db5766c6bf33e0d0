import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../errors/error.ts';

/** Date ▶ Timestamp. */
export const toTimestamp = (date: Date): Timestamp => timestampFromDate(date);

/** Timestamp ▶ Date, the epoch when absent. */
export const fromTimestamp = (timestamp: Timestamp | undefined): Date =>
  timestamp === undefined ? new Date(0) : timestampDate(timestamp);

/** A time that a client chose; undefined when it left it out. @throws invalid_argument when JavaScript cannot hold it */
export function chosenTime(timestamp: Timestamp | undefined, what: string): Date | undefined {
  const date = timestamp && timestampDate(timestamp);
  if (date === undefined || !Number.isNaN(date.getTime())) return date;
  throw invalidArgument(`${what} is out of range`);
}

/** A field that clients must fill in; `what` names it in the error. @throws invalid_argument when it is absent */
export function given<T>(field: T | undefined, what: string): T {
  if (field === undefined) throw invalidArgument(`${what} must be set`);
  return field;
}
