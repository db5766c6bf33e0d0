import type { WindowSize } from '../sys/tty.ts';
import type { FoundFds, HeldFds } from './fd-store.ts';
import type { LogWriter } from './log-writer.ts';

/** Where a client wants the streams of a process: paths or URIs as containerd takes them, '' = nowhere. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export type RuntimeStdio = readonly [number | 'ignore', number | 'ignore', number | 'ignore'];

/** Whose streams these are, and what they are opened with. */
export interface StdioPlace {
  readonly namespace: string;
  readonly id: string;
  readonly execId: string;
  /** Path in the bundle that files of our own begin with. */
  readonly prefix: string;
  /** Owner of what the container gets, 0 for nobody in particular. */
  readonly ioUid: number;
  readonly ioGid: number;
  readonly logs: LogWriter;
  /** What an earlier shim kept of them. */
  readonly found: FoundFds;
  /** A fresh path for a console socket. */
  consoleSocketPath(): string;
  /** Called when {@link ProcessStdio.held} has changed. */
  changed(): void;
}

/** The standard streams of one process, from before the runtime makes it until it is deleted. */
export interface ProcessStdio {
  /** What the runtime inherits and hands on to the container. */
  readonly runtimeStdio: RuntimeStdio;
  readonly consoleSocket: string | undefined;
  /** Settles when everybody who reads is ready to. @throws invalid_argument, unknown (a logger that does not start) */
  readonly ready: Promise<void>;
  /** The runtime has made the process: its copies are no longer needed here, and a terminal arrives. */
  started(): Promise<void>;
  closeStdin(): void;
  /** @throws failed_precondition (no terminal) */
  resize(size: WindowSize): void;
  /** @throws not_found (no log), invalid_argument (it cannot be opened) */
  reopenLog(): Promise<void>;
  /** What must stay open when the shim dies. */
  held(): HeldFds;
  /** The process has ended: settles when all it wrote is where it belongs, or after a few seconds. */
  ended(): Promise<void>;
  /** Lets go of everything. Idempotent. */
  close(): void;
}

/** One output stream. Each side of it is open from the start, so that nobody waits and nobody gets a SIGPIPE. */
export interface Output {
  /** What the container gets as it is, or what its terminal is copied to. */
  readonly containerFd: number;
  /** Settles when all that was written is where it belongs. */
  readonly drained: Promise<void>;
  /** What must stay open when the shim dies. */
  readonly held: number | undefined;
  /** The runtime has its own copy now. */
  started(): void;
  /** Nobody of ours writes any more. */
  ended(): void;
  /** Idempotent. */
  close(): void;
}

/** A grandchild may hold a stream for ever; the exit is told all the same. */
export const drainTimeoutMs = 3_000;

/** Settles with the promise, or after `timeoutMs` without it; never rejects. */
export async function within(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([promise.catch(() => {}), late]);
  clearTimeout(timer);
}
