import { codeOf } from '../errors/error.ts';
import { S_IFREG } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { linkAt, mkdirAt } from '../sys/files.ts';
import { statAt, typeOf } from '../sys/stat.ts';
import { DirectoryCache } from './directory-cache.ts';
import { FileWriter } from './file-writer.ts';
import { exists, isDirectory, translate } from './member-faults.ts';
import { type Created, setNamedMetadata } from './member-metadata.ts';
import { joinPath, type MemberPath, parseMemberPath, toPath, whiteoutOf } from './member-path.ts';
import { MemberWriter } from './member-writer.ts';
import { printable } from './pax.ts';
import { removeSync } from './remove-sync.ts';
import { makeSpecial } from './special-files.ts';
import type { ByteString, TarEntry } from './tar-entry.ts';
import { badTar } from './tar-numbers.ts';
import type { Unfinished } from './unfinished.ts';
import type { Whiteouts } from './whiteout-contract.ts';
import { type WhiteoutStyle, whiteoutsFor } from './whiteouts.ts';

export interface DirectoryWriterOptions {
  readonly whiteouts: WhiteoutStyle;
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
export class DirectoryWriter extends MemberWriter {
  readonly #options: DirectoryWriterOptions;
  readonly #cache: DirectoryCache;
  readonly #whiteouts: Whiteouts;
  /** Directories to be described at the end, by real path; `undefined` for those no member describes. */
  readonly #directories = new Map<ByteString, { entry: TarEntry; created: Created } | undefined>();
  readonly #lateLinks = new Map<ByteString, ByteString>();
  #inodes = 0;

  constructor(root: Fd, options: DirectoryWriterOptions) {
    super();
    this.#options = options;
    this.#cache = new DirectoryCache(root, (path) => this.#onImplicit(path));
    this.#whiteouts = whiteoutsFor(options.whiteouts, options.empty, this.#cache);
  }

  get inodes(): number {
    return this.#inodes;
  }

  entry(entry: TarEntry): void {
    this.countMember('layer', this.#options.maxEntries);
    try {
      this.#entry(entry);
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

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
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
      this.#replacing(parent, member, (directory) => this.#create(entry, member, directory));
      this.#directories.delete(member.path);
    }
    this.#whiteouts.written(member.path);
  }

  #create(entry: TarEntry, member: MemberPath, parent: Fd): void {
    if (entry.type === 'hardlink') {
      this.#link(entry, member, parent);
      return;
    }
    const created = this.#created(entry.mode & 0o777);
    if (entry.type === 'file') this.file = new FileWriter(parent, member.base, entry, created);
    else {
      makeSpecial(parent, toPath(member.base), entry);
      setNamedMetadata(parent, member.base, entry, created);
    }
    this.#inodes++;
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
    const path = joinPath(this.#cache.realPath(member.directory), member.base);
    this.#directories.set(path, { entry, created });
  }

  #replaceByDirectory(parent: Fd, member: MemberPath, mode: number): void {
    const hidden = this.#whiteouts.isHidden(parent, member.base);
    const fresh = this.#remove(parent, member);
    mkdirAt(fresh, toPath(member.base), mode);
    this.#inodes++;
    if (hidden) this.#whiteouts.hideAll(member.path);
  }

  /** Runs `create`; where something is in the way, removes it and runs it again. */
  #replacing(parent: Fd, member: MemberPath, create: (parent: Fd) => void): void {
    try {
      create(parent);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      create(this.#remove(parent, member));
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
