import { codeOf, failedPrecondition, isKind } from '../errors/error.ts';
import { FileWriter } from '../layers/file-writer.ts';
import { isDirectory, translate } from '../layers/member-faults.ts';
import { type Created, setNamedMetadata } from '../layers/member-metadata.ts';
import { joinPath, type MemberPath, parseMemberPath, splitPath, toPath } from '../layers/member-path.ts';
import { MemberWriter } from '../layers/member-writer.ts';
import { printable } from '../layers/pax.ts';
import { makeSpecial } from '../layers/special-files.ts';
import type { ByteString, TarEntry } from '../layers/tar-entry.ts';
import { badTar } from '../layers/tar-numbers.ts';
import { ensureDirInRoot } from '../sys/beneath.ts';
import { O_PATH, S_IFDIR } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { chownAt, linkAt, mkdirAt, openAt, unlinkAt } from '../sys/files.ts';
import { statFd, typeOf } from '../sys/stat.ts';
import type { Owners } from './owners.ts';
import { inWords, refuseKernelFiles } from './tree-path.ts';

export interface PathWriterOptions {
  /** Directory below which members go, from the root; it must be there. */
  readonly at: ByteString;
  readonly owners: Owners;
  readonly maxEntries: number;
  /** Another name for members, and for those that hard links point to. Default: their own. */
  readonly rename?: (name: ByteString) => ByteString;
}

/** Every attribute is set: nothing is taken for granted of a file that is new. */
const asMade: Created = { rootOwned: false, mode: -1, umask: 0 };

/** Made by another since it was looked for; a directory where a file was; a symlink, whose mode nobody sets. */
const overtaken = new Set(['EEXIST', 'EISDIR', 'EOPNOTSUPP', 'ENOTSUP']);

/**
 * Writes the members of a tar below a directory of a root that somebody else may be changing: links on the way are
 * followed inside the root, files are made new (O_EXCL) and put in the place of others, never written through them; no
 * device, FIFO or file of the kernel's own is ever opened. A directory is never replaced by a file, nor a file by a
 * directory. Directories get their attributes at the end ({@link finish}).
 */
export class PathWriter extends MemberWriter {
  readonly #root: Fd;
  readonly #options: PathWriterOptions;
  readonly #directories = new Map<ByteString, TarEntry>();
  #parent: { readonly path: ByteString; readonly fd: Fd } | undefined;

  constructor(root: Fd, options: PathWriterOptions) {
    super();
    this.#root = root;
    this.#options = options;
  }

  entry(given: TarEntry): void {
    const { maxEntries, rename = (name) => name } = this.#options;
    this.countMember('archive', maxEntries);
    const names = {
      name: rename(given.name),
      linkName: given.type === 'hardlink' ? rename(given.linkName) : given.linkName,
    };
    this.#guard(given, () =>
      this.#write({ ...given, ...names, ...this.#options.owners.toDisk(given.uid, given.gid) }),
    );
  }

  /** Gives directories their attributes, the innermost first. */
  finish(): void {
    for (const [path, entry] of [...this.#directories].reverse()) {
      const { directory, base } = splitPath(path);
      const name = toPath(base);
      this.#guard(entry, () => {
        const parent = this.#openParent(directory);
        if (isDirectory(parent, name)) setNamedMetadata(parent, base, entry, asMade);
      });
    }
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#parent?.fd.close();
    this.#parent = undefined;
  }

  #write(entry: TarEntry): void {
    const member = parseMemberPath(entry.name);
    if (member === undefined) {
      if (entry.type !== 'directory') throw badTar('the root of an archive is no directory');
      return;
    }
    const parent = this.#openParent(member.directory);
    const there = typeAt(parent, member);
    if (entry.type === 'directory') this.#makeDirectory(parent, member, entry, there);
    else this.#replace(parent, member, entry, there);
  }

  #makeDirectory(parent: Fd, { base, path }: MemberPath, entry: TarEntry, there: number | undefined): void {
    if (there !== undefined && there !== S_IFDIR)
      throw failedPrecondition(`cannot overwrite non-directory ${printable(path)} with a directory`);
    if (there === undefined) mkdirAt(parent, toPath(base), 0o700);
    this.#directories.delete(path);
    this.#directories.set(path, entry);
  }

  #replace(parent: Fd, member: MemberPath, entry: TarEntry, there: number | undefined): void {
    if (there === S_IFDIR)
      throw failedPrecondition(`cannot overwrite directory ${printable(member.path)} with a non-directory`);
    const name = toPath(member.base);
    if (entry.type === 'hardlink') {
      this.#link(entry, member, there !== undefined);
      return;
    }
    if (there !== undefined) unlinkAt(parent, name);
    if (entry.type === 'file') this.file = new FileWriter(parent, member.base, entry, asMade);
    else {
      makeSpecial(parent, name, entry);
      setNamedMetadata(parent, member.base, entry, asMade);
    }
  }

  #link(entry: TarEntry, member: MemberPath, isThere: boolean): void {
    const target = parseMemberPath(entry.linkName);
    if (target === undefined || target.path === member.path)
      throw badTar(`${printable(entry.name)} links to ${printable(entry.linkName)}`);
    using from = this.#open(target.directory);
    const parent = this.#openParent(member.directory);
    if (typeAt(from, target) === undefined) throw badTar(`${printable(entry.name)} links to nothing`);
    if (isThere) unlinkAt(parent, toPath(member.base));
    linkAt(from, toPath(target.base), parent, toPath(member.base));
  }

  /** The directory of members, made where missing. Valid until the next call. */
  #openParent(path: ByteString): Fd {
    if (this.#parent?.path !== path) {
      const fd = this.#open(path);
      this.#parent?.fd.close();
      this.#parent = { path, fd };
    }
    return this.#parent.fd;
  }

  #open(path: ByteString): Fd {
    const whole = joinPath(this.#options.at, path);
    const owner = this.#options.owners.toDisk(0, 0);
    const fd = ensureDirInRoot(this.#root, Buffer.from(whole, 'latin1'), 0o755, (made) =>
      chownAt(made, '', owner.uid, owner.gid),
    );
    try {
      refuseKernelFiles(fd, whole);
      return fd;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  #guard(entry: TarEntry, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (overtaken.has(codeOf(error) ?? ''))
        throw failedPrecondition(`${printable(entry.name)} was changed by another process meanwhile`, error);
      const known = inWords(error, entry.name);
      throw isKind(known, 'failed_precondition') ? known : translate(error, entry);
    }
  }
}

/** The type of what has a name in a directory; a symlink is not followed. */
function typeAt(parent: Fd, { base }: MemberPath): number | undefined {
  try {
    using found = openAt(parent, toPath(base), O_PATH);
    return typeOf(statFd(found));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
