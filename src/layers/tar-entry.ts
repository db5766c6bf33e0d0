/**
 * A byte string: one character (U+0000 to U+00FF) for each byte. Names in a tar are bytes, not text; this form
 * compares, splits and serves as a map key without ever changing one. `Buffer.from(name, 'latin1')` gives the bytes.
 */
export type ByteString = string;

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';

/** Seconds since 1970 (may be negative) and 0 to 999,999,999 nanoseconds after that. */
export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** A run of stored bytes in a sparse file; everything between runs is a hole. */
export interface SparseRun {
  readonly offset: number;
  readonly length: number;
}

/** One member of a tar, with PAX and GNU extensions already applied. Nothing in it is trusted. */
export interface TarEntry {
  readonly name: ByteString;
  readonly type: TarEntryType;
  /** Target of a hard link (a member name) or symbolic link (any bytes); '' otherwise. */
  readonly linkName: ByteString;
  /** The lower 12 bits: permissions, setuid, setgid, sticky. */
  readonly mode: number;
  /** 0 to 2^32-2. */
  readonly uid: number;
  readonly gid: number;
  /** Bytes of the file as a reader of it sees them, holes included; 0 for all other types. */
  readonly sizeBytes: number;
  readonly mtime: FileTime;
  readonly atime?: FileTime | undefined;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: ReadonlyMap<ByteString, Buffer>;
  /** Set on sparse files only: sorted, disjoint, inside sizeBytes. */
  readonly sparse?: readonly SparseRun[] | undefined;
}

/** What a {@link TarReader} calls, in order: entry, data (any number of times; drop it unless the entry is a file), end; then the next entry. */
export interface TarSink {
  /** `position` is where the member's stored bytes begin in the archive. */
  entry(entry: TarEntry, position: number): void;
  /** `chunk` is valid only during the call; `offset` is where it belongs in the file. */
  data(chunk: Buffer, offset: number): void;
  end(): void;
}
