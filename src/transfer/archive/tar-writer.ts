const blockSize = 512;

/** A file or directory of an archive that Berth writes. Paths are ASCII and at most 100 characters. */
export interface TarMember {
  readonly path: string;
  readonly mode: number;
  readonly sizeBytes: number;
}

/** A ustar header (POSIX.1-1988) with no owner and no time, so that equal archives have equal bytes. */
export function tarHeader({ path, mode, sizeBytes }: TarMember): Buffer {
  const header = Buffer.alloc(blockSize);
  header.write(path, 0, 100, 'latin1');
  header.write(octal(mode, 8), 100, 'latin1');
  header.write(octal(0, 8), 108, 'latin1');
  header.write(octal(0, 8), 116, 'latin1');
  writeSize(header, sizeBytes);
  header.write(octal(0, 12), 136, 'latin1');
  header.write('        ', 148, 'latin1');
  header.write(path.endsWith('/') ? '5' : '0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** Zeros from the end of a member's bytes to the next block. */
export const tarPadding = (sizeBytes: number): Buffer =>
  Buffer.alloc((blockSize - (sizeBytes % blockSize)) % blockSize);

/** What an archive ends with. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * blockSize);

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;

/** Eleven octal digits, or GNU's binary form from 8 GiB on. */
function writeSize(header: Buffer, sizeBytes: number): void {
  if (sizeBytes < 8 ** 11) {
    header.write(octal(sizeBytes, 12), 124, 'latin1');
    return;
  }
  header[124] = 0x80;
  header.writeBigUInt64BE(BigInt(sizeBytes), 128);
}
