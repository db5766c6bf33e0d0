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

export const isZeroBlock = (block: Buffer): boolean => block[0] === 0 && zeroBlock.equals(block);

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

const aligned = Buffer.alloc(blockSize);
const words = new Uint32Array(aligned.buffer, aligned.byteOffset, blockSize / 4);
const checksumAt = 148;
const checksumBytes = 8;

/** The sum of all bytes with the checksum field as spaces; some old writers summed signed bytes. */
function verifyChecksum(block: Buffer): void {
  const expected = parseNumber(block, checksumAt, checksumBytes, 'checksum');
  aligned.set(block);
  aligned.fill(0x20, checksumAt, checksumAt + checksumBytes);
  const unsigned = sumOfBytes();
  if (expected !== unsigned && expected !== unsigned - 256 * highBytes())
    throw badTar('header checksum is wrong');
}

/** Of `aligned`, four bytes at a time: each half of a sum holds 128 of them at most twice, which fits. */
function sumOfBytes(): number {
  let even = 0;
  let odd = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    even += word & 0x00ff00ff;
    odd += (word >>> 8) & 0x00ff00ff;
  }
  return (even & 0xffff) + (even >>> 16) + (odd & 0xffff) + (odd >>> 16);
}

function highBytes(): number {
  let count = 0;
  for (const byte of aligned) if (byte > 127) count++;
  return count;
}

type Format = 'ustar' | 'star' | 'gnu' | 'v7';

const ustar = 0x61747375;

function formatOf(block: Buffer): Format {
  if (block.readUInt32LE(257) !== ustar || block[261] !== 0x72) return 'v7';
  if (block[262] === 0) return isStar(block) ? 'star' : 'ustar';
  return block[262] === 0x20 && block[263] === 0x20 && block[264] === 0 ? 'gnu' : 'v7';
}

const isStar = (block: Buffer): boolean => block.readUInt32LE(508) === 0x00726174;

function prefixOf(block: Buffer, format: Format): string {
  if (format === 'ustar') return parseString(block, 345, 155);
  return format === 'star' ? parseString(block, 345, 131) : '';
}
