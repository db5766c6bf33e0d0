import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KeyedLock } from '../async/keyed-lock.ts';
import { never } from '../async/never.ts';
import { failedPrecondition, invalidArgument, messageOf, unknown } from '../errors/error.ts';
import { parseBytes } from '../oci/size.ts';
import { S_IFDIR } from '../sys/constants.ts';
import type { Mount } from '../sys/mount.ts';
import { typeOf } from '../sys/stat.ts';
import { nameIn, openParent, type Place, placeOf, statPlace } from './allowed-root.ts';
import { errorWords } from './mount-words.ts';

/** Runs one of the `mkfs.*` programs. @throws unknown (`mkfs.ext4 failed: …`) */
export type Formatter = (program: string, args: readonly string[]) => Promise<void>;

const prefix = 'X-containerd.mkfs.';
const maxBytes = 2 ** 50;
const locks = new KeyedLock();

/** How each kind of file system is told its UUID. */
const uuidArgs: Readonly<Record<string, (uuid: string) => string[]>> = {
  ext2: (uuid) => ['-U', uuid],
  ext3: (uuid) => ['-U', uuid],
  ext4: (uuid) => ['-U', uuid],
  xfs: (uuid) => ['-m', `uuid=${uuid}`],
};

interface Wanted {
  readonly sizeBytes: number;
  readonly kind: string;
  readonly uuid: string;
}

/**
 * Makes the file that `source` names and a file system in it, as the options `X-containerd.mkfs.{size,fs,uuid}` say, and
 * takes these options away. A file that is there already is taken as it is: it comes into being whole or not at all.
 * @throws invalid_argument, not_implemented (outside the allowed roots), unknown (what the program or the kernel says)
 */
export async function makeFileSystem(
  { roots, format }: { readonly roots: readonly string[]; readonly format: Formatter },
  mount: Mount,
): Promise<Mount> {
  const place = placeOf(roots, mount.source, 'mkfs');
  const wanted = parse(mount.options);
  using _lock = await locks.acquire(mount.source, never);
  if (!isThere(place, mount.source)) await make(place, mount.source, wanted, format);
  return { ...mount, options: mount.options.filter((option) => !option.startsWith(prefix)) };
}

function parse(options: readonly string[]): Wanted {
  let [sizeBytes, kind, uuid] = [0, 'ext4', ''];
  for (const option of options.filter((one) => one.startsWith(prefix))) {
    const equals = option.indexOf('=');
    const key = equals < 0 ? option : option.slice(prefix.length, equals);
    const value = option.slice(equals + 1);
    if (key === 'size') sizeBytes = parseSize(value);
    else if (key === 'fs') kind = value;
    else if (key === 'uuid') uuid = value;
    else throw invalidArgument(`unknown mount option ${key}: invalid argument`);
  }
  if (sizeBytes === 0) throw invalidArgument('mkfs requires mkfs.size option: invalid argument');
  return { sizeBytes, kind, uuid };
}

function parseSize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw unknown(`bad option size: invalid size: '${text}'`);
  if (bytes > maxBytes) throw invalidArgument(`mkfs.size is more than ${maxBytes} bytes: invalid argument`);
  return bytes;
}

function isThere(place: Place, source: string): boolean {
  try {
    using parent = openParent(place);
    const found = statPlace(parent, place);
    if (found !== undefined && typeOf(found) === S_IFDIR)
      throw failedPrecondition(
        `mkfs backing file ${JSON.stringify(source)} exists and is not a regular file`,
      );
    return found !== undefined;
  } catch (error) {
    throw creating(source, place, error);
  }
}

async function make(place: Place, source: string, { sizeBytes, kind, uuid }: Wanted, format: Formatter) {
  const withUuid = Object.hasOwn(uuidArgs, kind) ? uuidArgs[kind] : undefined;
  if (withUuid === undefined)
    throw invalidArgument(`unsupported filesystem ${JSON.stringify(kind)}: invalid argument`);
  const path = join(place.root, place.below);
  const unfinished = join(dirname(path), `.${nameIn(place)}.mkfs`);
  try {
    await makeSparse(unfinished, sizeBytes);
    await format(`mkfs.${kind}`, ['-q', ...(uuid === '' ? [] : withUuid(uuid)), unfinished]);
    await sync(unfinished);
    await rename(unfinished, path);
    await sync(dirname(path));
  } catch (error) {
    await rm(unfinished, { force: true });
    throw unknown(`failed format ${JSON.stringify(source)}: ${messageOf(error)}`, error);
  }
}

async function makeSparse(path: string, sizeBytes: number): Promise<void> {
  await rm(path, { force: true });
  await using file = await open(path, 'wx', 0o640);
  await file.truncate(sizeBytes);
}

async function sync(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

const creating = (source: string, place: Place, error: unknown): unknown =>
  error instanceof Error && error.name === 'BerthError'
    ? error
    : unknown(
        `failed to create file ${JSON.stringify(source)}: openat ${place.below}: ${errorWords(error)}`,
        error,
      );
