import { badTar, parseNumber, parseString } from './tar-numbers.ts';

/** A 512-byte header block as it stands, before extensions. */
export interface RawHeader {
  readonly name: string;
  readonly linkName: string;
  /** The type flag as a character; `\0` is an old regular file. */
  readonly flag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly atimeSeconds?: number | undefined;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

export const blockSize = 512;
const zeroBlock = Buffer.alloc(blockSize);

export const isZeroBlock = (block: Buffer): boolean => zeroBlock.equals(block);

/** Parses a header block (ustar, GNU, star or v7). @throws invalid_argument on a wrong checksum or number */
export function parseHeader(block: Buffer): RawHeader {
  verifyChecksum(block);
  const format = formatOf(block);
  const name = parseString(block, 0, 100);
  const prefix = prefixOf(block, format);
  const devices = format !== 'v7';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: parseString(block, 157, 100),
    flag: String.fromCharCode(block[156] ?? 0),
    mode: parseNumber(block, 100, 8, 'mode'),
    uid: parseNumber(block, 108, 8, 'uid'),
    gid: parseNumber(block, 116, 8, 'gid'),
    sizeBytes: parseNumber(block, 124, 12, 'size'),
    mtimeSeconds: parseNumber(block, 136, 12, 'mtime'),
    atimeSeconds: format === 'gnu' && block[345] !== 0 ? parseNumber(block, 345, 12, 'atime') : undefined,
    deviceMajor: devices ? parseNumber(block, 329, 8, 'device major') : 0,
    deviceMinor: devices ? parseNumber(block, 337, 8, 'device minor') : 0,
  };
}

/** The sum of all bytes with the checksum field as spaces; some old writers summed signed bytes. */
function verifyChecksum(block: Buffer): void {
  const expected = parseNumber(block, 148, 8, 'checksum');
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < blockSize; i++) {
    if (i === 148) i = 156;
    const byte = block[i] ?? 0;
    unsigned += byte;
    if (byte > 127) high++;
  }
  if (expected !== unsigned && expected !== unsigned - 256 * high) throw badTar('header checksum is wrong');
}

type Format = 'ustar' | 'star' | 'gnu' | 'v7';

function formatOf(block: Buffer): Format {
  const magic = block.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return 'gnu';
  if (!magic.startsWith('ustar\0')) return 'v7';
  return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar';
}

function prefixOf(block: Buffer, format: Format): string {
  if (format === 'ustar') return parseString(block, 345, 155);
  return format === 'star' ? parseString(block, 345, 131) : '';
}
