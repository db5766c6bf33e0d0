import type { ByteString } from './tar-entry.ts';
import { badTar, parseDecimal } from './tar-numbers.ts';

/** Records of one extended header: `key` to value, both byte strings; later ones win. Empty values mean "not set". */
export type PaxRecords = Map<ByteString, ByteString>;

/** The most that headers before one member may hold, in bytes (the bound Go's archive/tar has too). */
export const maxPaxBytes = 1 << 20;

const noNul = new Set(['path', 'linkpath', 'uname', 'gname', 'GNU.sparse.name']);

/**
 * Reads `length key=value\n` records (POSIX pax, "Extended Header"). The numbered records of GNU sparse format 0.0
 * become one `GNU.sparse.map` of format 0.1. @throws invalid_argument on any malformed record
 */
export function parsePax(bytes: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  const sparseMap: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { key, value, next } = parseRecord(bytes, at);
    at = next;
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') pushSparse(sparseMap, key, value);
    else records.set(key, value);
  }
  if (sparseMap.length > 0) records.set('GNU.sparse.map', sparseMap.join(','));
  return records;
}

function parseRecord(bytes: Buffer, at: number): { key: string; value: string; next: number } {
  const space = bytes.indexOf(0x20, at);
  if (space < 0 || space - at > 7 || space === at) throw badTar('PAX record without a length');
  const next = at + parseDecimal(bytes.toString('latin1', at, space), 'PAX record length');
  if (next > bytes.length || next < space + 4 || bytes[next - 1] !== 0x0a)
    throw badTar('PAX record length is wrong');
  const equals = bytes.indexOf(0x3d, space + 1);
  if (equals <= space + 1 || equals >= next) throw badTar('PAX record without a key');
  const key = bytes.toString('latin1', space + 1, equals);
  const value = bytes.toString('latin1', equals + 1, next - 1);
  if (key.includes('\0') || (noNul.has(key) && value.includes('\0')))
    throw badTar(`PAX ${printable(key)} holds a NUL`);
  return { key, value, next };
}

function pushSparse(map: string[], key: string, value: string): void {
  const wantsOffset = map.length % 2 === 0;
  if (wantsOffset !== (key === 'GNU.sparse.offset'))
    throw badTar('sparse offsets and lengths do not alternate');
  map.push(value);
}

/**
 * Extended attributes of a member: `SCHILY.xattr.<name>` (raw bytes) and, for names not given so,
 * `LIBARCHIVE.xattr.<percent-encoded name>` (base64).
 */
export function xattrsOf(records: PaxRecords): Map<ByteString, Buffer> {
  const xattrs = new Map<ByteString, Buffer>();
  for (const [key, value] of records) {
    if (key.startsWith('LIBARCHIVE.xattr.')) {
      const name = percentDecode(key.slice('LIBARCHIVE.xattr.'.length));
      if (!xattrs.has(name)) xattrs.set(name, Buffer.from(value, 'base64'));
    } else if (key.startsWith('SCHILY.xattr.')) {
      xattrs.set(key.slice('SCHILY.xattr.'.length), Buffer.from(value, 'latin1'));
    }
  }
  return xattrs;
}

function percentDecode(text: string): ByteString {
  const name = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (name.includes('\0')) throw badTar('xattr name holds a NUL');
  return name;
}

/** Bytes of a name as a message may show them: cut, quoted, control characters escaped. */
export const printable = (name: ByteString): string => JSON.stringify(name.slice(0, 200));
