import { type PaxRecords, printable, xattrsOf } from './pax.ts';
import type { FileTime, TarEntry, TarEntryType } from './tar-entry.ts';
import type { RawHeader } from './tar-header.ts';
import { badTar, parseDecimal, parseTime } from './tar-numbers.ts';

/** Longest name or link target, in bytes (Linux's PATH_MAX). */
export const maxNameBytes = 4096;
/** 2^32-1 means "leave as it is" to chown(2), so it cannot be an owner. */
const maxId = 2 ** 32 - 2;

const types: Readonly<Record<string, TarEntryType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

const none: PaxRecords = new Map();

/**
 * Puts a header and its extensions together. PAX beats GNU long names, which beat the header; extensions apply to the
 * member itself, never to another extension (CVE-2025-62518).
 * @throws invalid_argument on an unknown type or a value out of range
 */
export function mergeEntry(
  header: RawHeader,
  records: PaxRecords = none,
  longName?: string,
  longLink?: string,
  gnuRealSize?: number,
): { entry: TarEntry; storedBytes: number } {
  const name = checkName(
    pick(records, 'GNU.sparse.name') ?? pick(records, 'path') ?? longName ?? header.name,
  );
  const type = typeOf(header.flag, name);
  const size = optional(records, 'size', parseDecimal) ?? header.sizeBytes;
  // An old-style directory (a file whose name ends in a slash) may still claim data, which must be passed over.
  const storedBytes = type === 'file' || types[header.flag] === 'file' ? size : 0;
  const sizeBytes = type === 'file' ? (gnuRealSize ?? paxRealSize(records) ?? size) : 0;
  if (sizeBytes < 0) throw badTar('size is negative');
  const entry: TarEntry = {
    name,
    type,
    linkName: checkName(pick(records, 'linkpath') ?? longLink ?? header.linkName),
    mode: header.mode & 0o7777,
    uid: checkId(optional(records, 'uid', parseDecimal) ?? header.uid, 'uid'),
    gid: checkId(optional(records, 'gid', parseDecimal) ?? header.gid, 'gid'),
    sizeBytes,
    mtime: optional(records, 'mtime', parseTime) ?? whole(header.mtimeSeconds),
    atime:
      optional(records, 'atime', parseTime) ?? (header.atimeSeconds ? whole(header.atimeSeconds) : undefined),
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    xattrs: records.size === 0 ? noXattrs : xattrsOf(records),
  };
  return { entry, storedBytes };
}

const noXattrs: ReadonlyMap<string, Buffer> = new Map();
const whole = (seconds: number): FileTime => ({ seconds, nanoseconds: 0 });

/** An empty PAX value means that the header's own field counts. */
const pick = (records: PaxRecords, key: string): string | undefined => records.get(key) || undefined;

function optional<T>(
  records: PaxRecords,
  key: string,
  parse: (text: string, field: string) => T,
): T | undefined {
  const text = pick(records, key);
  return text === undefined ? undefined : parse(text, `PAX ${key}`);
}

const paxRealSize = (records: PaxRecords): number | undefined =>
  optional(records, 'GNU.sparse.realsize', parseDecimal) ??
  optional(records, 'GNU.sparse.size', parseDecimal);

function typeOf(flag: string, name: string): TarEntryType {
  const type = Object.hasOwn(types, flag) ? types[flag] : undefined;
  if (type === undefined) throw badTar(`${printable(name)} has the unknown type ${JSON.stringify(flag)}`);
  return type === 'file' && name.endsWith('/') ? 'directory' : type;
}

function checkName(name: string): string {
  if (name.length > maxNameBytes) throw badTar(`a name of more than ${maxNameBytes} bytes`);
  return name;
}

function checkId(id: number, field: string): number {
  if (id < 0 || id > maxId) throw badTar(`${field} ${id} is out of range`);
  return id;
}
