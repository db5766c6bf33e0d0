import { isForbiddenXattr } from '../member-metadata.ts';
import { printable } from '../pax.ts';
import type { ByteString, TarEntry } from '../tar-entry.ts';
import { badTar } from '../tar-numbers.ts';
import { alignUp } from './format.ts';

/** Name prefixes that EROFS has numbers for. Exact ones stand for a whole name. */
const prefixes: readonly (readonly [string, number])[] = [
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
];
const acls: Readonly<Record<string, number>> = {
  'system.posix_acl_access': 2,
  'system.posix_acl_default': 3,
};

/** A value's length has 16 bits (XATTR_SIZE_MAX is one more). */
const maxValueBytes = 65535;
const maxNameBytes = 255;
const headerBytes = 12;
/** `i_xattr_icount` has 16 bits and counts words. */
const maxEntriesBytes = (65535 - 1) * 4;

/**
 * The attributes of a member as EROFS entries one behind the other, without those that the directory writer leaves out
 * too: overlayfs' and trusted ones, those of unknown families, `user.` on what is neither file nor directory.
 * @throws invalid_argument where setxattr(2) would refuse
 */
export function encodeXattrs(entry: TarEntry): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of entry.xattrs) {
    if (isForbiddenXattr(name)) continue;
    const encoded = encodeOne(entry, name, value);
    if (encoded !== undefined) parts.push(encoded);
  }
  const entries = Buffer.concat(parts);
  if (entries.length > maxEntriesBytes - 64) throw badTar(`${printable(entry.name)} has too many xattrs`);
  return entries;
}

function encodeOne(entry: TarEntry, name: ByteString, value: Buffer): Buffer | undefined {
  const invalid = () => badTar(`${printable(entry.name)} has an invalid xattr ${printable(name)}`);
  if (name === '' || name.length > maxNameBytes || value.length > maxValueBytes) throw invalid();
  const family = familyOf(name);
  if (family === undefined || !mayHave(entry, name)) return undefined;
  if (family.suffix === '' && acls[name] === undefined) throw invalid();
  if (!isValidValue(entry, name, value)) throw invalid();
  return encodeEntry(family.index, family.suffix, value);
}

function familyOf(name: ByteString): { index: number; suffix: ByteString } | undefined {
  const acl = Object.hasOwn(acls, name) ? acls[name] : undefined;
  if (acl !== undefined) return { index: acl, suffix: '' };
  const found = prefixes.find(([prefix]) => name.startsWith(prefix));
  return found && { index: found[1], suffix: name.slice(found[0].length) };
}

/** What the kernel answers EPERM or EOPNOTSUPP to is left out, as on a directory. */
function mayHave({ type }: TarEntry, name: ByteString): boolean {
  if (name.startsWith('user.')) return type === 'file' || type === 'directory';
  return !name.startsWith('system.') || type !== 'symlink';
}

function isValidValue({ type }: TarEntry, name: ByteString, value: Buffer): boolean {
  if (name === 'security.capability') return isCapability(value);
  if (!name.startsWith('system.')) return true;
  return isAcl(value) && (name === 'system.posix_acl_access' || type === 'directory');
}

/** linux/capability.h: revision 2 has 20 bytes, revision 3 has 24. */
function isCapability(value: Buffer): boolean {
  const revision = value.length < 4 ? 0 : value.readUInt32LE(0) >>> 24;
  return (revision === 2 && value.length === 20) || (revision === 3 && value.length === 24);
}

/** linux/posix_acl_xattr.h: version 2, then 8 bytes an entry. */
const isAcl = (value: Buffer): boolean =>
  value.length > 4 && value.length % 8 === 4 && value.readUInt32LE(0) === 2;

/** One entry, padded to whole words. */
export function encodeEntry(index: number, suffix: ByteString, value: Uint8Array): Buffer {
  const entry = Buffer.alloc(alignUp(4 + suffix.length + value.length, 4));
  entry[0] = suffix.length;
  entry[1] = index;
  entry.writeUInt16LE(value.length, 2);
  entry.write(suffix, 4, 'latin1');
  entry.set(value, 4 + suffix.length);
  return entry;
}

/** The entry of any attribute but an invalid one, of whatever file system; undefined when EROFS cannot have it. */
export function encodeAny(name: ByteString, value: Buffer): Buffer | undefined {
  const family = familyOf(name);
  if (family === undefined || value.length > maxValueBytes) return undefined;
  return encodeEntry(family.index, family.suffix, value);
}

const opaqueEntry = encodeEntry(4, 'overlay.opaque', Buffer.from('y'));
const none = Buffer.alloc(0);

/** What stands behind an inode: a header and its entries; nothing when there are none. */
export function inlineXattrs(entries: Buffer | undefined, opaque: boolean): Buffer {
  if (entries === undefined && !opaque) return none;
  const parts = [Buffer.alloc(headerBytes), ...(entries ? [entries] : []), ...(opaque ? [opaqueEntry] : [])];
  return Buffer.concat(parts);
}

/** The same for entries that stand elsewhere, by their ids; an opaque directory stays one. */
export function sharedXattrs(ids: readonly number[], opaque: boolean): Buffer {
  if (ids.length === 0 && !opaque) return none;
  const body = Buffer.alloc(headerBytes + 4 * ids.length);
  body[4] = ids.length;
  for (const [i, id] of ids.entries()) body.writeUInt32LE(id, headerBytes + 4 * i);
  return opaque ? Buffer.concat([body, opaqueEntry]) : body;
}

/** Does a body of so many words (`i_xattr_icount`) say that its directory is opaque? */
export const saysOpaque = (body: Buffer, count: number): boolean =>
  count > 0 && body.subarray(0, headerBytes + 4 * (count - 1)).includes(opaqueEntry);

/** `i_xattr_icount` of a body of so many bytes. */
export const xattrCount = (bodyBytes: number): number =>
  bodyBytes === 0 ? 0 : (bodyBytes - headerBytes) / 4 + 1;
