import { closeSync } from 'node:fs';
import { invalidArgument, notImplemented } from '../errors/error.ts';
import type { WindowSize } from '../sys/tty.ts';
import { CriLogFile, CriOutput } from './cri-log.ts';
import { FifoInput, FifoOutput, openAppend } from './fifo.ts';

/** Where a client wants the streams of a process: paths or URIs as containerd takes them, '' = nowhere. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export type RuntimeStdio = readonly [number | 'ignore', number | 'ignore', number | 'ignore'];

/** The standard streams of one process, from before the runtime makes it until it is deleted. */
export interface ProcessStdio {
  /** What the runtime inherits and hands on to the container. */
  readonly runtimeStdio: RuntimeStdio;
  readonly consoleSocket: string | undefined;
  /** The runtime has made the process: its copies are no longer needed here, and a terminal arrives. */
  started(): Promise<void>;
  closeStdin(): void;
  /** @throws failed_precondition (no terminal) */
  resize(size: WindowSize): void;
  /** The process has ended: settles when all it wrote is where it belongs, or after a few seconds. */
  ended(): Promise<void>;
  /** Lets go of everything. Idempotent. */
  close(): void;
}

/** One output stream that is passed to the container as it is. */
export interface Output {
  readonly containerFd: number;
  readonly drained?: Promise<void>;
  started(): void;
  ended(): void;
  close(): void;
}

/** A grandchild may hold a stream for ever; the exit is told all the same. */
export const drainTimeoutMs = 3_000;

/** Path of a URI `scheme:///path?…`; queries are ignored. @throws invalid_argument (no absolute path) */
export function uriPath(uri: string): string {
  try {
    const { host, pathname } = new URL(uri);
    if (host === '' && pathname.length > 1) return decodeURIComponent(pathname);
  } catch {
    // Said below.
  }
  throw invalidArgument(`stdio ${JSON.stringify(uri)} names no absolute path`);
}

/** `file` of `file:///x`; '' for a plain path. */
export const schemeOf = (uri: string): string => /^([a-z][a-z0-9+.-]*):\/\//.exec(uri)?.[1] ?? '';

/**
 * Opens the streams of a process without a terminal.
 * @param fifoPrefix path in the bundle that FIFOs of our own begin with
 * @throws invalid_argument, not_implemented (scheme)
 */
export function openStdio(paths: StdioPaths, fifoPrefix: string): ProcessStdio {
  using opened = new DisposableStack();
  const logs = new CriLogs();
  const own = <T extends { close(): void }>(stream: T | undefined): T | undefined => {
    if (stream !== undefined) opened.defer(() => stream.close());
    return stream;
  };
  const stdin = own(paths.stdin === '' ? undefined : new FifoInput(paths.stdin));
  const stdout = own(openOutput('stdout', paths.stdout, fifoPrefix, logs));
  const stderr = own(openOutput('stderr', paths.stderr, fifoPrefix, logs));
  return new PlainStdio(stdin, stdout, stderr, opened.move());
}

class PlainStdio implements ProcessStdio {
  readonly runtimeStdio: RuntimeStdio;
  readonly consoleSocket = undefined;
  readonly #stdin: FifoInput | undefined;
  readonly #outputs: readonly Output[];
  readonly #all: DisposableStack;

  constructor(
    stdin: FifoInput | undefined,
    stdout: Output | undefined,
    stderr: Output | undefined,
    all: DisposableStack,
  ) {
    const fd = (stream: { containerFd: number } | undefined) => stream?.containerFd ?? 'ignore';
    this.runtimeStdio = [fd(stdin), fd(stdout), fd(stderr)];
    this.#stdin = stdin;
    this.#outputs = [stdout, stderr].filter((output) => output !== undefined);
    this.#all = all;
  }

  async started(): Promise<void> {
    this.#stdin?.started();
    for (const output of this.#outputs) output.started();
  }

  closeStdin(): void {
    this.#stdin?.closeStdin();
  }

  /** A process without a terminal has no size: containerd's shims ignore the call, and so does this one. */
  resize(): void {}

  async ended(): Promise<void> {
    this.closeStdin();
    for (const output of this.#outputs) output.ended();
    await within(drainTimeoutMs, Promise.all(this.#outputs.map((output) => output.drained)));
  }

  close(): void {
    this.#all.dispose();
  }
}

/** Log files by path, so that stdout and stderr of one process may share one. */
export class CriLogs {
  readonly #files = new Map<string, CriLogFile>();

  open(path: string): CriLogFile {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = new CriLogFile(path);
      this.#files.set(path, file);
    }
    return file;
  }
}

function openOutput(
  stream: 'stdout' | 'stderr',
  uri: string,
  fifoPrefix: string,
  logs: CriLogs,
): Output | undefined {
  switch (schemeOf(uri)) {
    case '':
      return uri === '' ? undefined : new FifoOutput(stream, uri);
    case 'fifo':
      return new FifoOutput(stream, uriPath(uri));
    case 'file':
      return new FileOutput(openAppend(stream, uriPath(uri)));
    case 'cri':
      return new CriOutput(stream, `${fifoPrefix}${stream}`, logs.open(uriPath(uri)));
    default:
      throw notImplemented(`stdio scheme ${schemeOf(uri)}`);
  }
}

class FileOutput implements Output {
  readonly containerFd: number;
  #open = true;

  constructor(fd: number) {
    this.containerFd = fd;
  }

  started(): void {
    this.close();
  }

  ended(): void {
    this.close();
  }

  close(): void {
    if (this.#open) closeSync(this.containerFd);
    this.#open = false;
  }
}

/** Settles with the promise, or after `timeoutMs` without it; never rejects. */
export async function within(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([promise.catch(() => {}), late]);
  clearTimeout(timer);
}
