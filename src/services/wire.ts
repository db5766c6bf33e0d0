import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { Any } from '../oci/any.ts';

/** Date ▶ Timestamp. */
export const toTimestamp = (date: Date): Timestamp => timestampFromDate(date);

/** Timestamp ▶ Date, the epoch when absent. */
export const fromTimestamp = (timestamp: Timestamp | undefined): Date =>
  timestamp === undefined ? new Date(0) : timestampDate(timestamp);

/** Any as generated messages take it; the bytes are not copied. */
export const toAny = (any: Any): { typeUrl: string; value: Uint8Array<ArrayBuffer> } => ({
  typeUrl: any.typeUrl,
  value: any.value as Uint8Array<ArrayBuffer>,
});
