import { createRequire } from 'node:module';
import { constants } from 'node:os';
import type { node as koffiNode } from 'koffi';
import { SysError } from '../errors/error.ts';

/** A file name: UTF-8 text, or raw bytes where a name may be anything but NUL. */
export type Path = string | Uint8Array;

interface ArgTypes {
  int: number;
  uint32: number;
  /** `long`, `size_t`, `off_t`, `dev_t`: 64 bits on every machine Berth runs on. */
  int64: number | bigint;
  uint64: number | bigint;
  /** A C string; raw bytes must already end in NUL ({@link cPath}). */
  'const char *': string | Uint8Array | null;
  'void *': Uint8Array | null;
}
type ArgType = keyof ArgTypes;
type ArgsOf<T extends readonly ArgType[]> = { -readonly [K in keyof T]: ArgTypes[T[K]] };

/** A bound function that answers as the kernel does: its result, or `-errno`. Repeats itself on EINTR. */
export interface NativeCall<T extends readonly ArgType[]> {
  (...args: ArgsOf<T>): number;
  /** The same on a thread of libuv's pool, for calls that may take long. Buffers must live until it settles. */
  wait(...args: ArgsOf<T>): Promise<number>;
}

type Koffi = typeof import('koffi');
type Raw<Result = number> = ((...args: unknown[]) => Result) & {
  async(...args: [...unknown[], (error: unknown, result: Result) => void]): void;
};

const EINTR = constants.errno.EINTR;
let koffi: Koffi | undefined;
let library: ReturnType<Koffi['load']> | undefined;

// Loaded on first use: it costs 10 ms and 6 MB, which programs that make no system call must not pay.
function load(): Koffi {
  if (koffi) return koffi;
  koffi = createRequire(import.meta.url)('koffi') as Koffi;
  // More waiting calls than koffi's default of 256, and less memory kept for them when they are over.
  koffi.config({ max_async_calls: 4096, resident_async_pools: 2 });
  return koffi;
}

function bindRaw(name: string, result: 'int' | 'int64', args: readonly ArgType[]): Raw {
  library ??= load().load(null);
  return library.func(name, result, [...args]);
}

/** Binds a libc function that answers -1 and errno on failure. Nothing is loaded before the first call. */
export function libcCall<const T extends readonly ArgType[]>(name: string, args: T): NativeCall<T> {
  return nativeCall(() => bindRaw(name, 'int', args));
}

/** As {@link libcCall}, for functions whose result is a `ssize_t` or `long`. */
export function libcLongCall<const T extends readonly ArgType[]>(name: string, args: T): NativeCall<T> {
  return nativeCall(() => bindRaw(name, 'int64', args));
}

/** Binds a system call by number (numbers from 403 on are the same on all machines), for those libc lacks. */
export function kernelCall<const T extends readonly ArgType[]>(number: number, args: T): NativeCall<T> {
  return nativeCall(() => {
    const raw = bindRaw('syscall', 'int64', ['int64', ...args]);
    return Object.assign((...rest: unknown[]) => raw(number, ...rest), {
      async: (...rest: [...unknown[], (error: unknown, result: number) => void]) =>
        raw.async(number, ...rest),
    });
  });
}

/** A bound function of a shared library that need not be there. Its result comes as it is. */
export interface LibraryCall<T extends readonly ArgType[], Result = number> {
  (...args: ArgsOf<T>): Result;
  /** The same on a thread of libuv's pool. Buffers must live until it settles. */
  wait(...args: ArgsOf<T>): Promise<Result>;
}

interface Results {
  int: number;
  /** Also `size_t` where negative numbers are errors. */
  int64: number;
  /** Also a pointer. */
  uint64: number;
  'const char *': string;
}

/** Binds functions out of a shared library; their result is an `int` unless said otherwise. */
export type LibraryBinder = <const T extends readonly ArgType[], R extends keyof Results = 'int'>(
  name: string,
  args: T,
  result?: R,
) => LibraryCall<T, Results[R]>;

/**
 * A shared library by its soname, or (null) what Node's own program shows; undefined where it is not installed. Binding throws
 * where a function is missing. Not for libraries that Node has inside: theirs would call Node's functions of the same name.
 */
export function openLibrary(soname: string | null): LibraryBinder | undefined {
  let opened: ReturnType<Koffi['load']>;
  try {
    opened = load().load(soname);
  } catch {
    return undefined;
  }
  return (name, args, result) => {
    type Result = Results[NonNullable<typeof result>];
    const raw: Raw<Result> = opened.func(name, result ?? 'int', [...args]);
    const wait = (...rest: unknown[]) =>
      new Promise<Result>((resolve, reject) => {
        raw.async(...rest, (error, value) => (error ? reject(error) : resolve(value)));
      });
    return Object.assign((...rest: unknown[]) => raw(...rest), { wait });
  };
}

function nativeCall<T extends readonly ArgType[]>(bind: () => Raw): NativeCall<T> {
  let raw: Raw | undefined;
  const call = (...args: ArgsOf<T>): number => {
    raw ??= bind();
    for (;;) {
      const result = raw(...args);
      if (result !== -1) return result;
      const errno = load().errno();
      if (errno !== EINTR) return -errno;
    }
  };
  const wait = (...args: ArgsOf<T>): Promise<number> => {
    raw ??= bind();
    return once(raw, args).then((result) => (result === -EINTR ? wait(...args) : result));
  };
  return Object.assign(call, { wait });
}

const once = (raw: Raw, args: readonly unknown[]): Promise<number> =>
  new Promise((resolve, reject) => {
    raw.async(...args, (error, result) => {
      if (error) reject(error);
      else resolve(result === -1 ? -load().errno() : result);
    });
  });

/** The result of a {@link NativeCall}, or a thrown SysError that names the call and the object. */
export function check(syscall: string, result: number, path?: Path): number {
  if (result >= 0) return result;
  throw new SysError(syscall, errnoName(-result), -result, path === undefined ? undefined : pathText(path));
}

/** `ENOENT` of 2; `E<number>` of what this Node does not know. */
export const errnoName = (errno: number): string => errnoNames.get(errno) ?? `E${errno}`;

// Reversed, so that of two names with one number the first wins (EAGAIN over EWOULDBLOCK).
const errnoNames = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

/** A path as C takes it. @throws SysError EINVAL where it holds a NUL, which C would silently cut off */
export function cPath(path: Path): string | Uint8Array {
  if (typeof path === 'string' ? path.includes('\0') : path.includes(0))
    throw new SysError('path', 'EINVAL', constants.errno.EINVAL, pathText(path));
  if (typeof path === 'string') return path;
  const bytes = Buffer.alloc(path.length + 1);
  bytes.set(path);
  return bytes;
}

/** A path for people: bytes that are not UTF-8 become U+FFFD. */
export const pathText = (path: Path): string =>
  typeof path === 'string' ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString();

/**
 * Calls `onEvent` on the event loop whenever `fd` becomes readable (or hangs up), until disposed. For what Node cannot
 * watch by itself: pidfds, listening sockets made here. The fd must stay open until after disposal, and nobody else
 * may watch the same number.
 */
export const pollReadable = (fd: number, onEvent: () => void): Poll =>
  poll(fd, { readable: true, disconnect: true }, onEvent);

/** As {@link pollReadable}, for room to write. */
export const pollWritable = (fd: number, onEvent: () => void): Poll => poll(fd, { writable: true }, onEvent);

/** A watch that ends with its scope. */
export interface Poll extends Disposable {
  unref(): void;
}

function poll(fd: number, events: koffiNode.PollOptions, onEvent: () => void): Poll {
  // koffi calls back outside of Node's own scope, where promises that settle would wait for whatever happens next
  // (a second, on an idle loop): an immediate runs inside it.
  let due = false;
  const later = (): void => {
    if (due) return;
    due = true;
    setImmediate(() => {
      due = false;
      if (open) onEvent();
    });
  };
  const handle: koffiNode.PollHandle = load().node.poll(fd, events, later);
  let open = true;
  return {
    unref: () => handle.unref(),
    [Symbol.dispose]() {
      if (open) handle.close();
      open = false;
    },
  };
}

/** Where a libc function begins, for system calls that start one. */
export function addressOfFunction(name: string): bigint {
  library ??= load().load(null);
  return load().address(library.symbol(name, 'int'));
}

/** Where a buffer's bytes are, for structures that hold pointers. The caller keeps the buffer alive (and unresized). */
export const addressOf = (bytes: Uint8Array): bigint => load().address(bytes);
