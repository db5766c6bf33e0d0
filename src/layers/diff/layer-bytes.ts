import { failedPrecondition } from '../../errors/error.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../../sys/constants.ts';
import { readlinkAt } from '../../sys/files.ts';
import { type FileStat, typeOf } from '../../sys/stat.ts';
import { splitPath, toPath } from '../member-path.ts';
import { printable } from '../pax.ts';
import type { ByteString } from '../tar-entry.ts';
import { fileBytes } from './file-bytes.ts';
import { memberHeader } from './member-header.ts';
import { isGone, layerXattrs, openDirectory, readEntry, type TreeEntry } from './tree-entry.ts';
import { type Change, type Trees, walkChanges } from './walk-changes.ts';

const whiteoutPrefix = '.wh.';
const endOfArchive = Buffer.alloc(1024);

export interface LayerBytesOptions {
  /** No time in the layer is later (SOURCE_DATE_EPOCH), and whiteouts have this one. */
  readonly latestNs?: bigint | undefined;
}

/**
 * The changes of two trees as the tar of a layer: the same trees always give the same bytes. Each change comes with its
 * parent directories, hard links with all names of the file, deletions as whiteouts.
 * @throws failed_precondition when a file is called `.wh.…`, which a layer cannot hold; SysError
 */
export function* layerBytes(trees: Trees, options: LayerBytesOptions = {}): Generator<Buffer> {
  const layer = new LayerBytes(trees, options.latestNs);
  for (const change of walkChanges(trees)) yield* layer.change(change);
  yield endOfArchive;
}

class LayerBytes {
  readonly #trees: Trees;
  readonly #latestNs: bigint | undefined;
  readonly #directories = new Set<ByteString>(['']);
  /** Files with several names: the one in the layer, or those passed by as long as none is. */
  readonly #written = new Map<bigint, ByteString>();
  readonly #passed = new Map<bigint, ByteString[]>();

  constructor(trees: Trees, latestNs: bigint | undefined) {
    this.#trees = trees;
    this.#latestNs = latestNs;
  }

  *change(change: Change): Generator<Buffer> {
    if (change.kind === 'deleted') yield* this.#whiteout(change.path);
    else if (change.kind === 'changed') yield* this.#member(change.entry);
    else yield* this.#otherName(change.entry);
  }

  *#whiteout(path: ByteString): Generator<Buffer> {
    const { directory, base } = splitPath(path);
    yield* this.#parents(directory);
    const name = `${directory === '' ? '' : `${directory}/`}${whiteoutPrefix}${base}`;
    yield memberHeader({
      name,
      flag: '0',
      mode: 0,
      uid: 0,
      gid: 0,
      sizeBytes: 0,
      mtimeNs: this.#latestNs ?? 0n,
    });
  }

  *#member(entry: TreeEntry): Generator<Buffer> {
    const { path, stat } = entry;
    const write = writers[typeOf(stat)];
    if (write === undefined) return;
    if (entry.name.startsWith(whiteoutPrefix))
      throw failedPrecondition(`${printable(path)} cannot be in a layer: the name means a deletion there`);
    if (typeOf(stat) === S_IFDIR && this.#directories.has(path)) return;
    yield* this.#parents(entry.directory.path);
    const first = stat.nlink > 1 && typeOf(stat) !== S_IFDIR ? this.#written.get(stat.ino) : undefined;
    if (first !== undefined) yield this.#hardLink(entry, first);
    else yield* this.#first(entry, write);
  }

  /** The first time that a file comes: itself, then the names of it that were passed by. */
  *#first(entry: TreeEntry, write: Writer): Generator<Buffer> {
    const { path, stat } = entry;
    try {
      yield* write(entry, this.#common(entry));
    } catch (error) {
      if (isGone(error)) return;
      throw error;
    }
    if (typeOf(stat) === S_IFDIR) this.#directories.add(path);
    else if (stat.nlink > 1) {
      this.#written.set(stat.ino, path);
      for (const other of this.#passed.get(stat.ino) ?? []) yield* this.#link(other, stat, path);
    }
  }

  /** An unchanged name of a file: if another name is in the layer, they must stay one file. */
  *#otherName({ path, stat }: TreeEntry): Generator<Buffer> {
    const first = this.#written.get(stat.ino);
    if (first !== undefined) yield* this.#link(path, stat, first);
    else this.#passed.set(stat.ino, [...(this.#passed.get(stat.ino) ?? []), path]);
  }

  *#link(path: ByteString, stat: FileStat, to: ByteString): Generator<Buffer> {
    yield* this.#parents(splitPath(path).directory);
    yield this.#hardLink({ path, stat }, to);
  }

  #hardLink({ path, stat }: Pick<TreeEntry, 'path' | 'stat'>, to: ByteString): Buffer {
    const { mode, uid, gid } = stat;
    const mtimeNs = this.#time(stat.mtimeNs);
    return memberHeader({
      name: path,
      flag: '1',
      linkName: to,
      mode: mode & 0o7777,
      uid,
      gid,
      sizeBytes: 0,
      mtimeNs,
    });
  }

  *#parents(directory: ByteString): Generator<Buffer> {
    if (this.#directories.has(directory)) return;
    const { directory: above, base } = splitPath(directory);
    yield* this.#parents(above);
    this.#directories.add(directory);
    using parent = openDirectory(this.#trees.right, above);
    const entry = parent && readEntry(parent, base);
    if (entry) yield* writers[S_IFDIR]?.(entry, this.#common(entry)) ?? [];
  }

  #common(entry: TreeEntry): Common {
    const { mode, uid, gid, mtimeNs } = entry.stat;
    const records = layerXattrs(entry).map(
      ([name, value]) => [`SCHILY.xattr.${name}`, value.toString('latin1')] as const,
    );
    const type = typeOf(entry.stat);
    return {
      name: entry.path,
      mode: mode & (type === S_IFLNK ? 0o777 : 0o7777),
      uid,
      gid,
      mtimeNs: this.#time(mtimeNs),
      records,
    };
  }

  #time(ns: bigint): bigint {
    return this.#latestNs !== undefined && ns > this.#latestNs ? this.#latestNs : ns;
  }
}

/** What all kinds of members have. */
export interface Common {
  readonly name: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly records: readonly (readonly [ByteString, ByteString])[];
}

type Writer = (entry: TreeEntry, common: Common) => Generator<Buffer>;

/** By type of file; sockets have no place in a layer. */
const writers: Readonly<Record<number, Writer>> = {
  [S_IFREG]: fileBytes,
  *[S_IFDIR](_entry, common) {
    yield memberHeader({ ...common, name: `${common.name}/`, flag: '5', sizeBytes: 0 });
  },
  *[S_IFLNK]({ directory, name }, common) {
    const linkName = readlinkAt(directory.fd, toPath(name)).toString('latin1');
    yield memberHeader({ ...common, flag: '2', linkName, sizeBytes: 0 });
  },
  *[S_IFIFO](_entry, common) {
    yield memberHeader({ ...common, flag: '6', sizeBytes: 0 });
  },
  *[S_IFCHR]({ stat }, common) {
    yield deviceHeader('3', stat, common);
  },
  *[S_IFBLK]({ stat }, common) {
    yield deviceHeader('4', stat, common);
  },
};

const deviceHeader = (flag: string, { rdev }: FileStat, common: Common): Buffer =>
  memberHeader({ ...common, flag, sizeBytes: 0, deviceMajor: rdev.major, deviceMinor: rdev.minor });
