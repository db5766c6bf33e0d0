import { closeSync, fchownSync } from 'node:fs';
import { notImplemented } from '../errors/error.ts';
import { unreadBytes } from '../sys/fifo.ts';
import { type HeldFds, heldOf } from './fd-store.ts';
import { FifoOutput, openForContainer } from './fifo.ts';
import { ProcessLogs } from './log-output.ts';
import { parseLogTarget } from './log-request.ts';
import { Logger } from './logger.ts';
import { OwnFifo } from './own-fifo.ts';
import type { Output, StdioPaths, StdioPlace } from './stdio.ts';
import { schemeOf, uriPath } from './stdio-uri.ts';

/** The output streams of one process, and what reads them where that is a log or a logger. */
export class Outputs implements Disposable {
  readonly stdout: Output | undefined;
  readonly stderr: Output | undefined;
  /** Settles when everybody who reads is ready to. */
  readonly ready: Promise<void>;
  readonly logs: ProcessLogs;
  readonly #opened: DisposableStack;

  /** @throws invalid_argument, not_implemented (scheme), not_found (no such logger) */
  constructor(paths: StdioPaths, place: StdioPlace) {
    using opened = new DisposableStack();
    const logs = new ProcessLogs(place);
    opened.defer(() => logs.close());
    this.logs = logs;
    this.stdout = this.#open('stdout', paths, place, opened);
    this.stderr = paths.terminal ? undefined : this.#open('stderr', paths, place, opened);
    const loggers = startLoggers([this.stdout, this.stderr], paths, place);
    opened.defer(() => loggers?.stop());
    this.ready = Promise.all([logs.open(), loggers?.ready]).then(() => {});
    this.ready.catch(() => {});
    this.#opened = opened.move();
  }

  get all(): readonly Output[] {
    return [this.stdout, this.stderr].filter((output) => output !== undefined);
  }

  /** What must stay open when the shim dies. */
  held(): HeldFds {
    const { stdout, stderr, logs } = this;
    return { ...heldOf({ stdout: stdout?.held, stderr: stderr?.held }), ...logs.held() };
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }

  #open(
    name: 'stdout' | 'stderr',
    paths: StdioPaths,
    place: StdioPlace,
    opened: DisposableStack,
  ): Output | undefined {
    const output = openOutput(name, paths[name], paths.terminal, place, this.logs);
    if (output === undefined) return undefined;
    opened.defer(() => output.close());
    const { ioUid, ioGid } = place;
    if (ioUid > 0 || ioGid > 0) fchownSync(output.containerFd, ioUid, ioGid);
    return output;
  }
}

function openOutput(
  name: 'stdout' | 'stderr',
  uri: string,
  terminal: boolean,
  place: StdioPlace,
  logs: ProcessLogs,
): Output | undefined {
  const log = parseLogTarget(uri);
  if (log !== undefined) return logs.add(name, log);
  switch (schemeOf(uri)) {
    case '':
      return uri === '' ? undefined : new FifoOutput(name, uri, place);
    case 'fifo':
      return new FifoOutput(name, uriPath(uri), place);
    case 'file':
      // A terminal's output is moved by the kernel, which takes it from and to pipes only.
      if (terminal) return logs.add(name, { path: uriPath(uri), format: 'raw', maxBytes: 0, maxFiles: 1 });
      return new FileOutput(openForContainer(name, uriPath(uri)));
    case 'binary':
      return new LoggedOutput(new OwnFifo(`${place.prefix}${name}`, name, place.found));
    default:
      throw notImplemented(`stdio scheme ${schemeOf(uri)}`);
  }
}

/** One logger for both streams, where they name the same. */
function startLoggers(
  [stdout, stderr]: readonly (Output | undefined)[],
  paths: StdioPaths,
  place: StdioPlace,
): Logger | undefined {
  const fifos = [stdout, stderr].map((output) => (output instanceof LoggedOutput ? output.fifo : undefined));
  if (fifos.every((fifo) => fifo === undefined)) return undefined;
  const logger = new Logger(fifos[0] === undefined ? paths.stderr : paths.stdout, fifos[0], fifos[1], place);
  for (const output of [stdout, stderr]) if (output instanceof LoggedOutput) output.readBy(logger);
  return logger;
}

/**
 * What a logger reads. The exit waits until it has taken every byte, not until it ends: nerdctl's ends when it hears of the exit.
 */
class LoggedOutput implements Output {
  readonly fifo: OwnFifo;
  readonly drained: Promise<void>;
  readonly #settle: () => void;
  #logger: Logger | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(fifo: OwnFifo) {
    this.fifo = fifo;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.drained = promise;
    this.#settle = resolve;
  }

  get containerFd(): number {
    return this.fifo.containerFd;
  }

  get held(): number | undefined {
    return this.fifo.held;
  }

  started(): void {
    this.fifo.started();
  }

  readBy(logger: Logger): void {
    this.#logger = logger;
    void logger.ended.then(this.#settle);
  }

  ended(delayMs = 2): void {
    this.started();
    this.#logger?.finish();
    if (this.held === undefined || unreadBytes(this.held) === 0) this.#settle();
    else this.#timer = setTimeout(() => this.ended(Math.min(delayMs * 2, 500)), delayMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#settle();
    this.fifo[Symbol.dispose]();
  }
}

/** A file that the container itself appends to. */
class FileOutput implements Output {
  readonly containerFd: number;
  readonly drained = Promise.resolve();
  readonly held = undefined;
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
