import { ftruncateSync, writeSync } from 'node:fs';
import { codeOf, resourceExhausted } from '../errors/error.ts';
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_PATH,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFREG,
} from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { linkAt, mkdirAt, mknodAt, openAt, symlinkAt } from '../sys/files.ts';
import { statAt, typeOf } from '../sys/stat.ts';
import { DirectoryCache } from './directory-cache.ts';
import { type Created, setFileMetadata, setNamedMetadata } from './member-metadata.ts';
import { type MemberPath, parseMemberPath, toPath, whiteoutOf } from './member-path.ts';
import { printable } from './pax.ts';
import { removeSync } from './remove-sync.ts';
import type { ByteString, TarEntry, TarSink } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';
import type { Unfinished } from './unfinished.ts';
import { NoWhiteouts, OverlayWhiteouts, PlainWhiteouts, type Whiteouts } from './whiteouts.ts';

export interface DirectoryWriterOptions {
  readonly whiteouts: 'overlay' | 'overlay-userxattr' | 'plain';
  /** The directory holds nothing yet. */
  readonly empty: boolean;
  readonly umask: number;
  readonly maxEntries: number;
}

/**
 * Writes the members of a layer below a directory. Everything happens through descriptors of directories that the
 * kernel resolved inside that root, and new files are made with O_EXCL, so neither a member nor a process that swaps
 * names meanwhile can make it touch anything outside. Directories get their owner, mode, xattrs and times at the end
 * ({@link finish}), because work inside would change them and setgid ones would pass their group on.
 */
export class DirectoryWriter implements TarSink, Disposable {
  readonly #options: DirectoryWriterOptions;
  readonly #cache: DirectoryCache;
  readonly #whiteouts: Whiteouts;
  /** Directories to be described at the end, by path; `undefined` for those no member describes. */
  readonly #directories = new Map<ByteString, { entry: TarEntry; created: Created } | undefined>();
  readonly #lateLinks = new Map<ByteString, ByteString>();
  readonly #chunk = { fd: undefined as Fd | undefined, entry: undefined as TarEntry | undefined };
  #entries = 0;
  #inodes = 0;

  constructor(root: Fd, options: DirectoryWriterOptions) {
    this.#options = options;
    this.#cache = new DirectoryCache(root, (path) => this.#onImplicit(path));
    this.#whiteouts = whiteoutsFor(options, this.#cache);
  }

  get inodes(): number {
    return this.#inodes;
  }

  entry(entry: TarEntry): void {
    if (++this.#entries > this.#options.maxEntries)
      throw resourceExhausted(`layer has more than ${this.#options.maxEntries} members`);
    try {
      this.#entry(entry);
    } catch (error) {
      throw translate(error, entry);
    }
  }

  data(chunk: Buffer, offset: number): void {
    const { fd, entry } = this.#chunk;
    if (fd === undefined || entry === undefined) return;
    const base = entry.sparse === undefined ? null : offset;
    for (let done = 0; done < chunk.length; )
      done += writeSync(fd.fd, chunk, done, chunk.length - done, base === null ? null : base + done);
  }

  end(): void {
    const { fd, entry } = this.#chunk;
    if (fd === undefined || entry === undefined) return;
    this.#chunk.fd = undefined;
    using file = fd;
    try {
      setFileMetadata(file, entry, this.#created(entry.mode & 0o777));
    } catch (error) {
      throw translate(error, entry);
    }
  }

  /** Describes the directories. Returns what can only be done once the lower layers are known. */
  finish(): Unfinished {
    const implicitDirectories: ByteString[] = [];
    for (const [path, pending] of this.#directories) {
      if (pending === undefined) implicitDirectories.push(path);
      else this.#describe(path, pending);
    }
    return { implicitDirectories, links: [...this.#lateLinks] };
  }

  [Symbol.dispose](): void {
    this.#chunk.fd?.close();
    this.#chunk.fd = undefined;
    this.#cache[Symbol.dispose]();
  }

  #entry(entry: TarEntry): void {
    const member = parseMemberPath(entry.name);
    // The root of a layer is the snapshot's own directory; containerd leaves its attributes alone too.
    if (member === undefined) return;
    const whiteout = whiteoutOf(member);
    if (whiteout === undefined) this.#write(entry, member);
    else if (whiteout.kind === 'opaque') this.#whiteouts.hideAll(member.directory);
    else if (whiteout.kind === 'whiteout') this.#whiteouts.hide(member.directory, whiteout.hidden);
  }

  #write(entry: TarEntry, member: MemberPath): void {
    const parent = this.#cache.ensure(member.directory);
    this.#lateLinks.delete(member.path);
    if (entry.type === 'directory') this.#writeDirectory(entry, member, parent);
    else {
      this.#replacing(parent, member, () => this.#create(entry, member, parent));
      this.#directories.delete(member.path);
    }
    this.#whiteouts.written(member.path);
  }

  #create(entry: TarEntry, member: MemberPath, parent: Fd): void {
    if (entry.type === 'hardlink') {
      this.#link(entry, member, parent);
      return;
    }
    if (entry.type === 'file') this.#startFile(entry, member, parent);
    else {
      this.#make(entry, parent, toPath(member.base));
      setNamedMetadata(parent, member.base, entry, this.#created(entry.mode & 0o777));
    }
    this.#inodes++;
  }

  #startFile(entry: TarEntry, member: MemberPath, parent: Fd): void {
    const fd = openAt(parent, toPath(member.base), O_WRONLY | O_CREAT | O_EXCL, entry.mode & 0o777);
    this.#chunk.fd = fd;
    this.#chunk.entry = entry;
    if (entry.sparse !== undefined) ftruncateSync(fd.fd, entry.sizeBytes);
  }

  #make(entry: TarEntry, parent: Fd, name: string | Uint8Array): void {
    const { type, mode, deviceMajor, deviceMinor } = entry;
    if (type === 'symlink') symlinkAt(toPath(entry.linkName), parent, name);
    else if (type === 'fifo') mknodAt(parent, name, S_IFIFO | (mode & 0o777));
    else {
      if (type === 'char' && deviceMajor === 0 && deviceMinor === 0)
        throw badTar(`${printable(entry.name)} is a 0:0 device, which only an overlay whiteout may be`);
      mknodAt(parent, name, (type === 'char' ? S_IFCHR : S_IFBLK) | (mode & 0o777), deviceMajor, deviceMinor);
    }
  }

  /** A link gets no attributes of its own: they are the file's, and setting them would clear its capabilities. */
  #link(entry: TarEntry, member: MemberPath, parent: Fd): void {
    const target = parseMemberPath(entry.linkName);
    if (target === undefined) throw badTar(`${printable(entry.name)} links to the root`);
    if (target.path === member.path) throw badTar(`${printable(entry.name)} links to itself`);
    const name = toPath(target.base);
    // Looking for the target may evict the parent, so that is asked for again.
    const targetParent = this.#cache.find(target.directory);
    const there = targetParent !== undefined && exists(targetParent, name);
    if (there) linkAt(targetParent, name, this.#parentOf(member) ?? parent, toPath(member.base));
    else if (this.#options.whiteouts === 'plain') throw badTar(`${printable(entry.name)} links to nothing`);
    else {
      if (exists(parent, toPath(member.base))) this.#remove(parent, member);
      this.#lateLinks.set(member.path, target.path);
    }
  }

  #parentOf(member: MemberPath): Fd | undefined {
    return this.#cache.find(member.directory);
  }

  #writeDirectory(entry: TarEntry, member: MemberPath, parent: Fd): void {
    const name = toPath(member.base);
    const mode = entry.mode & 0o777;
    let created: Created = this.#created(mode);
    try {
      mkdirAt(parent, name, mode);
      this.#inodes++;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if (isDirectory(parent, name)) created = { ...created, rootOwned: false, mode: -1 };
      else this.#replaceByDirectory(parent, member, mode);
    }
    this.#directories.set(member.path, { entry, created });
  }

  #replaceByDirectory(parent: Fd, member: MemberPath, mode: number): void {
    const hidden = this.#whiteouts.isHidden(parent, member.base);
    const fresh = this.#remove(parent, member);
    mkdirAt(fresh, toPath(member.base), mode);
    this.#inodes++;
    if (hidden) this.#whiteouts.hideAll(member.path);
  }

  /** Runs `create`; where something is in the way, removes it and runs it again. */
  #replacing(parent: Fd, member: MemberPath, create: () => void): void {
    try {
      create();
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      this.#remove(parent, member);
      create();
    }
  }

  /** Returns the parent, which may have a new descriptor. */
  #remove(parent: Fd, member: MemberPath): Fd {
    const name = toPath(member.base);
    const regular = typeOf(statAt(parent, name)) === S_IFREG;
    removeSync(parent, name);
    return regular ? parent : this.#forgetBelow(member);
  }

  #forgetBelow(member: MemberPath): Fd {
    this.#cache.forget();
    return this.#cache.ensure(member.directory);
  }

  #created(mode: number): Created {
    return {
      rootOwned: this.#options.empty,
      mode: this.#options.empty ? mode : -1,
      umask: this.#options.umask,
    };
  }

  #onImplicit(path: ByteString): void {
    this.#inodes++;
    this.#directories.set(path, undefined);
  }

  #describe(path: ByteString, { entry, created }: { entry: TarEntry; created: Created }): void {
    const member = parseMemberPath(path);
    const parent = member && this.#cache.find(member.directory);
    if (!member || !parent || !isDirectory(parent, toPath(member.base))) return;
    try {
      setNamedMetadata(parent, member.base, entry, created);
    } catch (error) {
      throw translate(error, entry);
    }
  }
}

function whiteoutsFor(options: DirectoryWriterOptions, cache: DirectoryCache): Whiteouts {
  if (options.whiteouts !== 'plain')
    return new OverlayWhiteouts(cache, options.whiteouts === 'overlay-userxattr');
  return options.empty ? new NoWhiteouts(cache) : new PlainWhiteouts(cache);
}

function isDirectory(parent: Fd, name: string | Uint8Array): boolean {
  try {
    openAt(parent, name, O_PATH | O_DIRECTORY).close();
    return true;
  } catch (error) {
    if (['ENOTDIR', 'ENOENT', 'ELOOP'].includes(codeOf(error) ?? '')) return false;
    throw error;
  }
}

function exists(parent: Fd, name: string | Uint8Array): boolean {
  try {
    openAt(parent, name, O_PATH).close();
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

const layerFaults = new Set([
  'ENAMETOOLONG',
  'ELOOP',
  'ENOTDIR',
  'EINVAL',
  'EPERM',
  'EMLINK',
  'EFBIG',
  'ENOENT',
]);

/** What the kernel refuses because of the member itself is the layer's fault; a full disk is its own kind. */
function translate(error: unknown, entry: TarEntry): unknown {
  const code = codeOf(error) ?? '';
  if (layerFaults.has(code)) return badTar(`cannot make ${entry.type} ${printable(entry.name)}: ${code}`);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return resourceExhausted(`no space left for ${printable(entry.name)}`, error);
  return error;
}
