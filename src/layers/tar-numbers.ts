import { type BerthError, invalidArgument } from '../errors/error.ts';
import type { FileTime } from './tar-entry.ts';

/** The error of every malformed archive. */
export const badTar = (what: string): BerthError => invalidArgument(`invalid tar: ${what}`);

/** Bytes up to the first NUL as a byte string. */
export function parseString(block: Buffer, start: number, length: number): string {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return end === start ? '' : block.toString('latin1', start, end);
}

/**
 * A number field: octal text padded with spaces or NULs, or GNU base-256 (first bit set), which may be negative.
 * Empty is 0. @throws invalid_argument when it is neither, or beyond 2^53-1.
 */
export function parseNumber(block: Buffer, start: number, length: number, field: string): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) return parseBase256(block, start, length, field);
  let at = start;
  let end = start + length;
  while (at < end && isPadding(block[at])) at++;
  while (end > at && isPadding(block[end - 1])) end--;
  let value = 0;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) throw badTar(`${field} is not a number`);
    value = value * 8 + digit;
  }
  return value;
}

const isPadding = (byte: number | undefined): boolean => byte === 0x20 || byte === 0;

function parseBase256(block: Buffer, start: number, length: number, field: string): number {
  const negative = ((block[start] ?? 0) & 0x40) !== 0;
  const flip = negative ? 0xff : 0;
  let value = 0;
  for (let i = 0; i < length; i++) {
    const byte = (block[start + i] ?? 0) ^ flip;
    value = value * 256 + (i === 0 ? byte & 0x7f : byte);
    if (value > Number.MAX_SAFE_INTEGER) throw badTar(`${field} is too large`);
  }
  return negative ? -value - 1 : value;
}

/** An unsigned decimal of a PAX record. @throws invalid_argument */
export function parseDecimal(text: string, field: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw badTar(`${field} ${JSON.stringify(text.slice(0, 40))} is not a number`);
  return value;
}

/** A PAX time: `-?digits[.digits]`, cut (not rounded) to nanoseconds. @throws invalid_argument */
export function parseTime(text: string, field: string): FileTime {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) throw badTar(`${field} ${JSON.stringify(text.slice(0, 40))} is not a time`);
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: 0 - seconds, nanoseconds };
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}
