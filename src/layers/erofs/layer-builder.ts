import { resourceExhausted } from '../../errors/error.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../../sys/constants.ts';
import type { LayerLimits } from '../limits.ts';
import { type MemberPath, parseMemberPath, whiteoutOf } from '../member-path.ts';
import { printable } from '../pax.ts';
import type { ByteString, TarEntry, TarSink } from '../tar-entry.ts';
import { badTar } from '../tar-numbers.ts';
import type { Unfinished } from '../unfinished.ts';
import { blockBytes, dataAt, maxNameBytes, nullBlock } from './format.ts';
import { type Directory, LayerTree, pathOf } from './layer-tree.ts';
import type { LayerFiles } from './layout.ts';
import type { SparseFile } from './sparse-map.ts';
import { encodeXattrs } from './xattrs.ts';

const maxLinkBytes = 4095;
/** What a file costs: its record, its place in a directory, its name. */
const inodeMemoryBytes = 300;
/** What a directory costs beside that, and a further name of a file. */
const directoryMemoryBytes = 300;
const nameMemoryBytes = 100;
const epoch = { seconds: 0, nanoseconds: 0 };
const types = { file: S_IFREG, symlink: S_IFLNK, char: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO } as const;

/**
 * Builds the tree of a layer from its members, with overlay whiteouts, as `directory-writer.ts` does on disk: later
 * members replace earlier ones, directories merge, whiteouts hide nothing of their own layer, and a hard link to what
 * the layer does not have is left over.
 */
export class LayerBuilder implements TarSink, LayerFiles {
  readonly tree: LayerTree;
  readonly xattrs = new Map<number, Buffer>();
  readonly sparse = new Map<number, SparseFile>();
  readonly #limits: LayerLimits;
  readonly #lowest: boolean;
  readonly #lateLinks = new Map<ByteString, ByteString>();
  /** Equal attributes are kept once. */
  readonly #equal = new Map<string, Buffer>();
  #entries = 0;
  #members = 0;
  #memoryBytes = 0;

  /** `lowest`: nothing will be beneath, so whiteouts, which would be seen, are left out. */
  constructor(limits: LayerLimits, { lowest = false } = {}) {
    this.#limits = limits;
    this.#lowest = lowest;
    this.tree = new LayerTree(() => this.#countDirectory());
  }

  /** Files and directories the layer brought; whiteouts are none. */
  get members(): number {
    return this.#members;
  }

  entry(entry: TarEntry, position: number): void {
    if (++this.#entries > this.#limits.entries)
      throw resourceExhausted(`layer has more than ${this.#limits.entries} members`);
    this.#take(entry.name.length);
    const member = parseMemberPath(entry.name);
    // The root of a layer is the snapshot's own directory.
    if (member === undefined) return;
    const whiteout = whiteoutOf(member);
    if (whiteout === undefined) this.#write(entry, member, position);
    else if (whiteout.kind === 'opaque') this.tree.ensure(member.directory).opaque = !this.#lowest;
    else if (whiteout.kind === 'whiteout' && !this.#lowest) this.#hide(member.directory, whiteout.hidden);
  }

  data(): void {}

  end(): void {}

  /** What the layers below must give. */
  unfinished(): Unfinished {
    const implicit = [...this.tree.directories()].filter((directory) => directory.implicit);
    return { implicitDirectories: implicit.map(pathOf), links: [...this.#lateLinks] };
  }

  #hide(directory: ByteString, base: ByteString): void {
    const parent = this.tree.ensure(directory);
    const there = parent.children.get(base);
    if (there === undefined) {
      this.#take(inodeMemoryBytes);
      const mode = S_IFCHR;
      this.tree.add(
        parent,
        base,
        this.tree.inodes.add({ mode, uid: 0, gid: 0, sizeBytes: 0, mtime: epoch, place: 0 }),
      );
      return;
    }
    const own = this.tree.directoryOf(there);
    if (own !== undefined) own.opaque = true;
  }

  #write(entry: TarEntry, member: MemberPath, position: number): void {
    const parent = this.tree.ensure(member.directory);
    this.#lateLinks.delete(member.path);
    if (entry.type === 'directory') this.#writeDirectory(entry, member, parent);
    else if (entry.type === 'hardlink') this.#link(entry, member, parent);
    else {
      const inode = this.#newInode(entry, position);
      this.tree.remove(parent, member.base);
      this.tree.add(parent, member.base, inode);
      this.#countMember();
    }
  }

  #writeDirectory(entry: TarEntry, member: MemberPath, parent: Directory): void {
    const there = parent.children.get(member.base);
    let directory = this.tree.directoryOf(there);
    if (directory === undefined) {
      const hidden = there !== undefined && this.#isWhiteout(there);
      this.tree.remove(parent, member.base);
      directory = this.tree.addDirectory(parent, member.base);
      directory.opaque = hidden;
      this.#countDirectory();
    }
    directory.implicit = false;
    this.tree.inodes.describe(directory.inode, this.#fields(entry, S_IFDIR, 0));
    this.#keepXattrs(directory.inode, entry);
  }

  #isWhiteout(inode: number): boolean {
    return this.tree.inodes.type(inode) === S_IFCHR && this.tree.inodes.place(inode) === 0;
  }

  /** A link gets no attributes of its own: they are the file's. */
  #link(entry: TarEntry, member: MemberPath, parent: Directory): void {
    const target = parseMemberPath(entry.linkName);
    if (target === undefined) throw badTar(`${printable(entry.name)} links to the root`);
    if (target.path === member.path) throw badTar(`${printable(entry.name)} links to itself`);
    if (target.base.length > maxNameBytes) throw badTar(`${printable(entry.name)} links to too long a name`);
    this.#take(nameMemoryBytes);
    this.tree.remove(parent, member.base);
    const inode = this.tree.find(target.directory)?.children.get(target.base);
    if (inode === undefined) {
      this.#take(member.path.length + target.path.length);
      this.#lateLinks.set(member.path, target.path);
    } else if (this.tree.directoryOf(inode) !== undefined)
      throw badTar(`cannot make hardlink ${printable(entry.name)}: EPERM`);
    else this.tree.add(parent, member.base, inode);
  }

  #newInode(entry: TarEntry, position: number): number {
    const type = types[entry.type as keyof typeof types];
    const place = entry.type === 'file' ? firstBlock(entry, position) : deviceOf(entry);
    const inode = this.tree.inodes.add(this.#fields(entry, type, place));
    this.#keepXattrs(inode, entry);
    if (entry.type === 'symlink') this.#keepLink(inode, entry);
    if (entry.sparse !== undefined && entry.sizeBytes > 0) this.#keepSparse(inode, entry, position);
    return inode;
  }

  #fields(entry: TarEntry, type: number, place: number) {
    const mode = type | (entry.type === 'symlink' ? 0o777 : entry.mode);
    const sizeBytes = entry.type === 'symlink' ? entry.linkName.length : entry.sizeBytes;
    return { mode, uid: entry.uid, gid: entry.gid, sizeBytes, mtime: entry.mtime, place };
  }

  #keepXattrs(inode: number, entry: TarEntry): void {
    this.xattrs.delete(inode);
    if (entry.xattrs.size === 0) return;
    const entries = encodeXattrs(entry);
    if (entries.length === 0) return;
    const key = entries.toString('latin1');
    const known = this.#equal.get(key) ?? entries;
    if (known === entries) {
      this.#take(2 * entries.length);
      this.#equal.set(key, entries);
    }
    this.xattrs.set(inode, known);
  }

  #keepLink(inode: number, { name, linkName }: TarEntry): void {
    if (linkName === '') throw badTar(`cannot make symlink ${printable(name)}: ENOENT`);
    if (linkName.length > maxLinkBytes) throw badTar(`cannot make symlink ${printable(name)}: ENAMETOOLONG`);
    this.#take(linkName.length);
    this.tree.links.set(inode, linkName);
  }

  #keepSparse(inode: number, entry: TarEntry, position: number): void {
    const runs = entry.sparse ?? [];
    this.#take(runs.length * 32);
    this.sparse.set(inode, { runs, sizeBytes: entry.sizeBytes, position });
  }

  #countMember(): void {
    if (++this.#members > this.#limits.entries)
      throw resourceExhausted(`layer has more than ${this.#limits.entries} files and directories`);
    this.#take(inodeMemoryBytes);
  }

  #countDirectory(): void {
    this.#countMember();
    this.#take(directoryMemoryBytes);
  }

  /** Counts memory. */
  #take(bytes: number): void {
    this.#memoryBytes += bytes;
    if (this.#memoryBytes > this.#limits.metadataBytes)
      throw resourceExhausted(`metadata of the layer needs more than ${this.#limits.metadataBytes} bytes`);
  }
}

const firstBlock = ({ sizeBytes }: TarEntry, position: number): number =>
  sizeBytes === 0 ? nullBlock : (dataAt + position) / blockBytes;

/** As the kernel packs a device number into 32 bits. A 0:0 character device would be a whiteout that no name announces. */
function deviceOf(entry: TarEntry): number {
  const { type, name, deviceMajor: major, deviceMinor: minor } = entry;
  if (type !== 'char' && type !== 'block') return 0;
  if (type === 'char' && major === 0 && minor === 0)
    throw badTar(`${printable(name)} is a 0:0 device, which only an overlay whiteout may be`);
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff)
    throw badTar(`cannot make ${type} ${printable(name)}: EINVAL`);
  return ((minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}
