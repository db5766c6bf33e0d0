import { printable } from './pax.ts';
import type { ByteString } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';

/** Where a member goes, relative to the root of the layer: no '', '.', '..' and no leading slash. */
export interface MemberPath {
  readonly directory: ByteString;
  readonly base: ByteString;
  /** `directory/base`. */
  readonly path: ByteString;
}

/**
 * Cleans a member name lexically, as containerd does before it looks at the disk; absolute names count from the root.
 * Returns undefined for the root itself. @throws invalid_argument when the name climbs above the root
 */
export function parseMemberPath(name: ByteString): MemberPath | undefined {
  const clean = withoutEnds(name);
  if (isClean(clean)) return memberPath(clean);
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw badTar(`${printable(name)} climbs out of the layer`);
  }
  return parts.length === 0 ? undefined : memberPath(parts.join('/'));
}

/** Without the `./` that GNU tar puts in front and the slash behind a directory. */
function withoutEnds(name: ByteString): ByteString {
  const start = name.startsWith('./') ? 2 : 0;
  const end = name.endsWith('/') ? name.length - 1 : name.length;
  return start < end ? name.slice(start, end) : '';
}

/** Most names are: nothing to take out of them, no part that begins with a dot. */
const isClean = (path: ByteString): boolean =>
  path !== '' &&
  path[0] !== '/' &&
  path[0] !== '.' &&
  !path.includes('/.') &&
  !path.includes('//') &&
  !path.endsWith('/');

function memberPath(path: ByteString): MemberPath {
  const { directory, base } = splitPath(path);
  return { directory, base, path };
}

/** What a member name says beyond naming a file (image-spec layer.md, "Whiteouts"). */
export type WhiteoutKind =
  | { readonly kind: 'opaque' }
  | { readonly kind: 'whiteout'; readonly hidden: ByteString }
  /** aufs' own bookkeeping (`.wh..wh.plnk` and so on), no part of the image. */
  | { readonly kind: 'ignored' };

const prefix = '.wh.';
const metaPrefix = '.wh..wh.';

/**
 * Tells a whiteout by its name; undefined for an ordinary member. No file called `.wh.…` can come out of a layer.
 * @throws invalid_argument on whiteouts of '', '.' and '..', and on members below a whiteout
 */
export function whiteoutOf({ directory, base, path }: MemberPath): WhiteoutKind | undefined {
  if (!path.includes(prefix)) return undefined;
  const parents = directory.split('/');
  if (parents.some((part) => part.startsWith(metaPrefix))) return { kind: 'ignored' };
  if (parents.some((part) => part.startsWith(prefix))) throw badTar(`${printable(path)} is below a whiteout`);
  if (base === '.wh..wh..opq') return { kind: 'opaque' };
  if (base.startsWith(metaPrefix)) return { kind: 'ignored' };
  if (!base.startsWith(prefix)) return undefined;
  const hidden = base.slice(prefix.length);
  if (hidden === '' || hidden === '.' || hidden === '..') throw badTar(`invalid whiteout ${printable(path)}`);
  return { kind: 'whiteout', hidden };
}

/** A byte string as system calls take it. */
export const toPath = (name: ByteString): string | Uint8Array =>
  /^[\0-\x7f]*$/.test(name) ? name : Buffer.from(name, 'latin1');

/** The directory and last part of a clean path. */
export function splitPath(path: ByteString): { directory: ByteString; base: ByteString } {
  const slash = path.lastIndexOf('/');
  return slash < 0
    ? { directory: '', base: path }
    : { directory: path.slice(0, slash), base: path.slice(slash + 1) };
}

/** A name in a directory; '' is the root. */
export const joinPath = (directory: ByteString, base: ByteString): ByteString =>
  directory === '' ? base : `${directory}/${base}`;

/** Where a symlink in `directory` points to, from the root: no leading slash, no empty part, no `.`; `..` stays as it is. */
export const linkPlace = (directory: ByteString, target: ByteString): ByteString =>
  (target.startsWith('/') ? target : `${directory}/${target}`)
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
