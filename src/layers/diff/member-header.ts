import { splitPath } from '../member-path.ts';
import type { ByteString } from '../tar-entry.ts';

/** One member as it is written down: header fields, in tar's own terms. */
export interface Member {
  /** Directories end in a slash. */
  readonly name: ByteString;
  /** `0` file, `1` hard link, `2` symlink, `3` character, `4` block device, `5` directory, `6` FIFO. */
  readonly flag: string;
  readonly linkName?: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow the header. */
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  /** More PAX records: xattrs, the size of a sparse file. */
  readonly records?: readonly (readonly [ByteString, ByteString])[];
}

const blockSize = 512;
const nsPerSecond = 1_000_000_000n;
const octalLimit = (digits: number) => 8 ** digits;

/**
 * The header of a member: ustar, with a PAX header (POSIX pax, "Extended Header") in front where ustar cannot say it.
 * The same member always gives the same bytes. User and group names are left out: they mean nothing elsewhere.
 */
export function memberHeader(member: Member): Buffer {
  const records = paxRecords(member);
  const header = ustarHeader(member);
  if (records.length === 0) return header;
  const data = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const base = splitPath(member.name.replace(/\/$/, '')).base;
  const name = `PaxHeaders.0/${base}`;
  const pax = ustarHeader({ name, flag: 'x', mode: 0, uid: 0, gid: 0, sizeBytes: data.length, mtimeNs: 0n });
  return Buffer.concat([pax, data, padding(data.length), header]);
}

/** Zeros that fill `length` bytes up to whole blocks. */
export const padding = (length: number): Buffer =>
  Buffer.alloc((blockSize - (length % blockSize)) % blockSize);

function paxRecords(member: Member): readonly (readonly [ByteString, ByteString])[] {
  const { name, linkName = '', uid, gid, sizeBytes, mtimeNs, records = [] } = member;
  const pax: [ByteString, ByteString][] = [];
  if (splitName(name) === undefined && !records.some(([key]) => key === 'GNU.sparse.name'))
    pax.push(['path', name]);
  if (linkName.length > 100) pax.push(['linkpath', linkName]);
  if (uid >= octalLimit(7)) pax.push(['uid', String(uid)]);
  if (gid >= octalLimit(7)) pax.push(['gid', String(gid)]);
  if (sizeBytes >= octalLimit(11)) pax.push(['size', String(sizeBytes)]);
  if (mtimeNs % nsPerSecond !== 0n || !fitsUstar(mtimeNs)) pax.push(['mtime', timeText(mtimeNs)]);
  return [...pax, ...records];
}

const fitsUstar = (mtimeNs: bigint): boolean =>
  mtimeNs >= 0n && mtimeNs / nsPerSecond < BigInt(octalLimit(11));

/** `-1.25` is a quarter of a second before -1, as PAX has it. */
function timeText(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  const fraction = String(size % nsPerSecond)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${ns < 0n ? '-' : ''}${size / nsPerSecond}${fraction === '' ? '' : `.${fraction}`}`;
}

/** `length key=value\n`, the length counting itself. */
function paxRecord(key: ByteString, value: ByteString): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.from(`${length}${rest}`, 'latin1');
}

/** Prefix and name of ustar; undefined when they cannot hold it. */
function splitName(name: ByteString): readonly [prefix: ByteString, name: ByteString] | undefined {
  if (name.length <= 100) return ['', name];
  const from = Math.max(0, name.length - 101);
  const slash = name.indexOf('/', from);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return [name.slice(0, slash), name.slice(slash + 1)];
}

function ustarHeader(member: Member): Buffer {
  const { flag, linkName = '', mode, mtimeNs, sizeBytes, deviceMajor = 0, deviceMinor = 0 } = member;
  const block = Buffer.alloc(blockSize);
  const [prefix, name] = splitName(member.name) ?? ['', member.name.slice(0, 100)];
  block.write(name.slice(0, 100), 0, 'latin1');
  octal(block, 100, 8, mode);
  octal(block, 108, 8, member.uid);
  octal(block, 116, 8, member.gid);
  octal(block, 124, 12, sizeBytes);
  octal(block, 136, 12, fitsUstar(mtimeNs) ? Number(mtimeNs / nsPerSecond) : 0);
  block.write(flag, 156, 'latin1');
  block.write(linkName.slice(0, 100), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(block, 329, 8, deviceMajor);
  octal(block, 337, 8, deviceMinor);
  block.write(prefix, 345, 'latin1');
  return withChecksum(block);
}

/** A number too long for the field stands in a PAX record; the field says 0 then. */
function octal(block: Buffer, at: number, length: number, value: number): void {
  const fits = value < octalLimit(length - 1);
  block.write((fits ? value : 0).toString(8).padStart(length - 1, '0'), at, 'latin1');
}

function withChecksum(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
