import { openSync, read } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf, resourceExhausted } from '../errors/error.ts';
import { type Member, memberHeader, padding } from '../layers/diff/member-header.ts';
import {
  isGone,
  isWhiteout,
  layerXattrs,
  type OpenDirectory,
  readEntry,
  type TreeEntry,
} from '../layers/diff/tree-entry.ts';
import { toPath } from '../layers/member-path.ts';
import type { ByteString } from '../layers/tar-entry.ts';
import {
  O_DIRECTORY,
  O_NONBLOCK,
  O_RDONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
} from '../sys/constants.ts';
import { Fd } from '../sys/fd.ts';
import { openAt, openPathAt, readlinkAt } from '../sys/files.ts';
import { statFd, typeOf } from '../sys/stat.ts';
import type { Owners } from './owners.ts';
import { inWords, kernelFiles, type TreePath } from './tree-path.ts';

export interface PathArchiveOptions {
  /** Name of the top entry; '' puts what is in a directory under `./`. Default: its own. */
  readonly as?: ByteString;
  /** Only the entry itself, also of a directory. Default false. */
  readonly noWalk?: boolean;
  readonly owners: Owners;
  readonly signal: AbortSignal;
}

const chunkBytes = 256 * 1024;
const maxDepth = 1_000;
const maxLinks = 1_000_000;
const endOfArchive = Buffer.alloc(1024);
const readFile = promisify(read);

/**
 * What is at a path as a tar: files with owners, times, xattrs, hard links, symlinks as they are, FIFOs and devices;
 * sockets are left out, so is what the kernel mounts (/proc, /sys). Everything is reached by descriptors, one name at a
 * time, so a container that swaps names meanwhile only changes what of its own is read. Nothing but regular files is
 * opened. A file that shrinks is filled up with zeros.
 * @throws not_found, resource_exhausted (nested too deep), the signal's reason, SysError
 */
export async function* pathArchive(at: TreePath, options: PathArchiveOptions): AsyncGenerator<Buffer, void> {
  const writer = new ArchiveWriter(options);
  if (at.base === '') {
    const as = options.as ?? '';
    yield* writer.top(at.directory, as === '' ? './' : `${as}/`);
  } else {
    const directory = { fd: at.directory, path: '' };
    const entry = readEntry(directory, at.base);
    if (entry === undefined) throw inWords(Object.assign(new Error(), { code: 'ENOENT' }), at.base);
    yield* writer.entry(entry, options.as ?? at.base, 0);
  }
  yield endOfArchive;
}

class ArchiveWriter {
  readonly #options: PathArchiveOptions;
  /** Names of files with several, by device and inode. */
  readonly #written = new Map<string, ByteString>();

  constructor(options: PathArchiveOptions) {
    this.#options = options;
  }

  async *top(directory: Fd, name: ByteString): AsyncGenerator<Buffer> {
    const stat = statFd(directory);
    const entry = { directory: { fd: directory, path: '' }, name: '.', path: '.', stat };
    yield this.#header(entry, name, '5');
    using readable = openAt(directory, '.', O_RDONLY | O_DIRECTORY);
    if (this.#options.noWalk !== true) yield* this.#children(readable, name, 0);
  }

  async *entry(entry: TreeEntry, name: ByteString, depth: number): AsyncGenerator<Buffer> {
    this.#options.signal.throwIfAborted();
    try {
      yield* this.#member(entry, name, depth);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  async *#member(entry: TreeEntry, name: ByteString, depth: number): AsyncGenerator<Buffer> {
    const type = typeOf(entry.stat);
    if (type === S_IFDIR) return yield* this.#directory(entry, name, depth);
    if (isWhiteout(entry)) return;
    const first = this.#firstName(entry, name);
    if (first !== undefined) yield this.#header(entry, name, '1', { linkName: first });
    else if (type === S_IFREG) yield* this.#file(entry, name);
    else if (type === S_IFLNK) {
      const linkName = readlinkAt(entry.directory.fd, toPath(entry.name)).toString('latin1');
      yield this.#header(entry, name, '2', { linkName });
    } else if (type === S_IFIFO) yield this.#header(entry, name, '6');
    else if (type === S_IFCHR || type === S_IFBLK) {
      const { major: deviceMajor, minor: deviceMinor } = entry.stat.rdev;
      yield this.#header(entry, name, type === S_IFCHR ? '3' : '4', { deviceMajor, deviceMinor });
    }
  }

  /** The name under which a file with several names is in the archive already. */
  #firstName({ stat }: TreeEntry, name: ByteString): ByteString | undefined {
    if (stat.nlink < 2) return undefined;
    const key = `${stat.dev.major}:${stat.dev.minor}:${stat.ino}`;
    const first = this.#written.get(key);
    if (first === undefined && this.#written.size < maxLinks) this.#written.set(key, name);
    return first;
  }

  async *#directory(entry: TreeEntry, name: ByteString, depth: number): AsyncGenerator<Buffer> {
    if (depth > maxDepth) throw resourceExhausted(`directories nested deeper than ${maxDepth}`);
    yield this.#header(entry, `${name}/`, '5');
    if (this.#options.noWalk === true) return;
    using fd = openAt(entry.directory.fd, toPath(entry.name), O_RDONLY | O_DIRECTORY);
    if (kernelFiles(fd) === undefined) yield* this.#children(fd, `${name}/`, depth);
  }

  async *#children(fd: Fd, prefix: ByteString, depth: number): AsyncGenerator<Buffer> {
    const directory: OpenDirectory = { fd, path: '' };
    for (const bytes of (await readdir(fd.procPath, { encoding: 'buffer' })).sort(Buffer.compare)) {
      const entry = readEntry(directory, bytes.toString('latin1'));
      if (entry !== undefined) yield* this.entry(entry, `${prefix}${entry.name}`, depth + 1);
    }
  }

  /** Pinned before it is opened: what was swapped in for it is not a regular file, or is one of the container's own. */
  async *#file(entry: TreeEntry, name: ByteString): AsyncGenerator<Buffer> {
    using pinned = openPathAt(entry.directory.fd, toPath(entry.name));
    const stat = statFd(pinned);
    if (typeOf(stat) !== S_IFREG) return;
    using file = new Fd(openSync(pinned.procPath, O_RDONLY | O_NONBLOCK));
    yield this.#header({ ...entry, stat }, name, '0', { sizeBytes: stat.sizeBytes });
    for (let at = 0; at < stat.sizeBytes; ) {
      this.#options.signal.throwIfAborted();
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, stat.sizeBytes - at));
      const { bytesRead } = await readFile(file.fd, chunk, 0, chunk.length, at);
      yield bytesRead === 0 ? chunk.fill(0) : chunk.subarray(0, bytesRead);
      at += bytesRead === 0 ? chunk.length : bytesRead;
    }
    yield padding(stat.sizeBytes);
  }

  #header(entry: TreeEntry, name: ByteString, flag: string, more: Partial<Member> = {}): Buffer {
    const { mode, uid, gid, mtimeNs } = entry.stat;
    const records =
      flag === '1'
        ? []
        : xattrsOf(entry).map(([key, value]) => [`SCHILY.xattr.${key}`, value.toString('latin1')] as const);
    const owner = this.#options.owners.toArchive(uid, gid);
    return memberHeader({
      name,
      flag,
      mode: mode & 0o7777,
      ...owner,
      mtimeNs,
      sizeBytes: 0,
      records,
      ...more,
    });
  }
}

function xattrsOf(entry: TreeEntry): ReturnType<typeof layerXattrs> {
  try {
    return layerXattrs(entry);
  } catch (error) {
    // Somebody else's file, and we are not root.
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') return [];
    throw error;
  }
}
