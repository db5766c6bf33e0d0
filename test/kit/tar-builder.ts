/** Makes tars byte by byte, also those no honest tool would make. */

export interface TarMember {
  readonly name?: string | Buffer;
  /** Type flag. Default '0', a regular file. */
  readonly flag?: string;
  readonly link?: string | Buffer;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly data?: string | Buffer;
  /** Size to claim; default the length of data. */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
  /** PAX records put in front. Values may hold any byte. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** Changes the finished header before its checksum is made. */
  readonly patch?: (header: Buffer) => void;
  readonly magic?: 'ustar' | 'gnu' | 'v7';
}

const blockSize = 512;

/** An archive of these members with the two zero blocks that end it. */
export const tar = (...members: readonly (TarMember | Buffer)[]): Buffer =>
  Buffer.concat([...members.map((m) => (Buffer.isBuffer(m) ? m : member(m))), Buffer.alloc(2 * blockSize)]);

/** One member: header, padded data, and before them what its `pax` asks for. */
export function member(m: TarMember): Buffer {
  const data = Buffer.from(m.data ?? '');
  const parts = [header({ ...m, size: m.size ?? data.length }), pad(data)];
  if (m.pax !== undefined) parts.unshift(paxHeader(m.pax));
  return Buffer.concat(parts);
}

export const file = (name: string, data: string | Buffer = '', more: TarMember = {}): TarMember => ({
  name,
  data,
  mode: 0o644,
  ...more,
});
export const dir = (name: string, more: TarMember = {}): TarMember => ({
  name,
  flag: '5',
  mode: 0o755,
  ...more,
});
export const symlink = (name: string, link: string, more: TarMember = {}): TarMember => ({
  name,
  link,
  flag: '2',
  mode: 0o777,
  ...more,
});
export const hardlink = (name: string, link: string, more: TarMember = {}): TarMember => ({
  name,
  link,
  flag: '1',
  mode: 0o644,
  ...more,
});

/** A PAX extended header (`x`, or `g`) of these records. */
export const paxHeader = (records: Readonly<Record<string, string | Buffer>>, flag = 'x'): Buffer =>
  member({
    name: 'pax',
    flag,
    data: Buffer.concat(Object.entries(records).map(([k, v]) => paxRecord(k, v))),
  });

/** `length key=value\n`, the length counting itself. */
export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** GNU long name (`L`) or link (`K`) in front of a member. */
export const gnuLong = (flag: 'L' | 'K', text: string | Buffer): Buffer =>
  member({
    name: '././@LongLink',
    flag,
    data: Buffer.concat([Buffer.from(text), Buffer.alloc(1)]),
    magic: 'gnu',
  });

/** GNU base-256: negative numbers and those too long for octal. */
export function base256(value: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = length - 1, rest = BigInt.asUintN(length * 8, value); i >= 0; i--, rest >>= 8n)
    bytes[i] = Number(rest & 0xffn);
  bytes[0] = value < 0n ? 0xff : (bytes[0] ?? 0) | 0x80;
  return bytes;
}

function header(m: TarMember): Buffer {
  const block = Buffer.alloc(blockSize);
  Buffer.from(m.name ?? 'x').copy(block, 0, 0, 100);
  octal(block, 100, 8, m.mode ?? 0o644);
  octal(block, 108, 8, m.uid ?? 0);
  octal(block, 116, 8, m.gid ?? 0);
  octal(block, 124, 12, m.size ?? 0);
  octal(block, 136, 12, m.mtime ?? 1_700_000_000);
  block.write(m.flag ?? '0', 156, 'latin1');
  Buffer.from(m.link ?? '').copy(block, 157, 0, 100);
  block.write({ ustar: 'ustar\x0000', gnu: 'ustar  \0', v7: '' }[m.magic ?? 'ustar'], 257, 'latin1');
  if (m.magic !== 'v7') {
    octal(block, 329, 8, m.major ?? 0);
    octal(block, 337, 8, m.minor ?? 0);
  }
  m.patch?.(block);
  return withChecksum(block);
}

/** Sets the checksum of a header block. */
export function withChecksum(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function octal(block: Buffer, at: number, length: number, value: number): void {
  const text = value.toString(8).padStart(length - 1, '0');
  if (value < 0 || text.length > length - 1) base256(BigInt(value), length).copy(block, at);
  else block.write(text, at, 'latin1');
}

const pad = (data: Buffer): Buffer =>
  Buffer.concat([data, Buffer.alloc((blockSize - (data.length % blockSize)) % blockSize)]);
