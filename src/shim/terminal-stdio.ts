import { once } from 'node:events';
import { Socket } from 'node:net';
import { codeOf, failedPrecondition, invalidArgument, notImplemented, unknown } from '../errors/error.ts';
import { openFifo } from '../sys/fifo.ts';
import type { WindowSize } from '../sys/tty.ts';
import { type FdReceiver, listenForFd } from '../sys/unix-socket.ts';
import { Console } from './console.ts';
import { CriLines, nowNano } from './cri-lines.ts';
import { CriLogFile } from './cri-log.ts';
import { FifoInput, FifoOutput } from './fifo.ts';
import {
  drainTimeoutMs,
  type ProcessStdio,
  type RuntimeStdio,
  type StdioPaths,
  schemeOf,
  uriPath,
  within,
} from './stdio.ts';

/** Somewhere terminal output goes. */
interface Sink {
  write(chunk: Buffer): Promise<void>;
  /** Nothing more comes. */
  end(): Promise<void>;
  close(): void;
}

/** The runtime sends the terminal before its create or exec returns, so this is generous. */
const consoleTimeoutMs = 10_000;

/**
 * Opens the streams of a process with a terminal: the runtime sends its controlling end over `consoleSocket`; the shim
 * keeps it and copies between it and the client's FIFOs, each way only as fast as the other end takes it.
 * @throws invalid_argument, not_implemented (scheme)
 */
export function openTerminalStdio(paths: StdioPaths, consoleSocket: string): ProcessStdio {
  using opened = new DisposableStack();
  const receiver = opened.use(listenForFd(consoleSocket));
  const sink = openSink(paths.stdout);
  opened.defer(() => sink.close());
  const stdin = paths.stdin === '' ? undefined : new TerminalInput(paths.stdin);
  opened.defer(() => stdin?.close());
  return new TerminalStdio(receiver, sink, stdin, opened.move());
}

class TerminalStdio implements ProcessStdio {
  readonly runtimeStdio: RuntimeStdio = ['ignore', 'ignore', 'ignore'];
  readonly consoleSocket: string;
  readonly #receiver: FdReceiver;
  readonly #sink: Sink;
  readonly #stdin: TerminalInput | undefined;
  readonly #all: DisposableStack;
  #console: Console | undefined;
  #copied: Promise<void> = Promise.resolve();

  constructor(receiver: FdReceiver, sink: Sink, stdin: TerminalInput | undefined, all: DisposableStack) {
    this.consoleSocket = receiver.path;
    this.#receiver = receiver;
    this.#sink = sink;
    this.#stdin = stdin;
    this.#all = all;
  }

  async started(): Promise<void> {
    const fd = await this.#receiver.receive(AbortSignal.timeout(consoleTimeoutMs)).catch((error) => {
      throw unknown('the runtime sent no terminal', error);
    });
    this.#receiver[Symbol.dispose]();
    this.#console = new Console(fd);
    this.#copied = this.#copy(this.#console);
    this.#stdin?.typeInto(this.#console);
  }

  async #copy(terminal: Console): Promise<void> {
    for await (const chunk of terminal.output()) await this.#sink.write(chunk);
    await this.#sink.end();
  }

  closeStdin(): void {
    this.#stdin?.closeStdin();
  }

  resize(size: WindowSize): void {
    if (this.#console === undefined) throw failedPrecondition('process has no terminal yet');
    this.#console.resize(size);
  }

  async ended(): Promise<void> {
    this.#stdin?.close();
    await within(drainTimeoutMs, this.#copied);
  }

  close(): void {
    this.#console?.close();
    this.#all.dispose();
  }
}

/** A client's FIFO typed into a terminal. */
class TerminalInput {
  readonly #hold: FifoInput;
  readonly #socket: Socket;

  constructor(path: string) {
    this.#hold = new FifoInput(path);
    this.#hold.started();
    const fd = openClientFifo('stdin', path, 'read');
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on('error', () => {});
  }

  typeInto(terminal: Console): void {
    const socket = this.#socket;
    socket.on('data', (chunk) => {
      socket.pause();
      void terminal.type(chunk as Buffer).then(() => socket.resume());
    });
  }

  closeStdin(): void {
    this.#hold.closeStdin();
  }

  close(): void {
    this.#hold.close();
    this.#socket.destroy();
  }
}

function openSink(uri: string): Sink {
  switch (schemeOf(uri)) {
    case '':
      return uri === '' ? nowhere : new FifoSink(uri);
    case 'fifo':
      return new FifoSink(uriPath(uri));
    case 'cri':
      return new LogSink(uriPath(uri));
    default:
      throw notImplemented(`stdio scheme ${schemeOf(uri)} with a terminal`);
  }
}

const nowhere: Sink = { async write() {}, async end() {}, close() {} };

/** A client's FIFO; kept open for reading too, so that a client that leaves breaks nothing. */
class FifoSink implements Sink {
  readonly #fifo: FifoOutput;
  readonly #socket: Socket;

  constructor(path: string) {
    this.#fifo = new FifoOutput('stdout', path);
    this.#fifo.started();
    const fd = openClientFifo('stdout', path, 'both');
    this.#socket = new Socket({ fd, readable: false, writable: true });
    this.#socket.on('error', () => {});
  }

  /** Settles when the kernel has taken it: a client that does not read slows the terminal, and nothing else. */
  write(chunk: Buffer): Promise<void> {
    return new Promise((resolve) => this.#socket.write(chunk, () => resolve()));
  }

  async end(): Promise<void> {
    this.#socket.destroy();
    if (!this.#socket.closed) await once(this.#socket, 'close');
    this.#fifo.ended();
  }

  close(): void {
    this.#socket.destroy();
    this.#fifo.close();
  }
}

/** A log file in the CRI format: terminal output is all stdout. */
class LogSink implements Sink {
  readonly #file: CriLogFile;
  readonly #lines = new CriLines('stdout');
  #open = true;

  constructor(path: string) {
    this.#file = new CriLogFile(path);
    this.#file.use();
  }

  async write(chunk: Buffer): Promise<void> {
    const text = this.#lines.push(chunk, nowNano());
    if (text !== '') await this.#file.append(text);
  }

  async end(): Promise<void> {
    const rest = this.#lines.end(nowNano());
    if (rest !== '') await this.#file.append(rest);
    this.close();
  }

  close(): void {
    if (this.#open) void this.#file.release();
    this.#open = false;
  }
}

function openClientFifo(stream: string, path: string, access: 'read' | 'both'): number {
  try {
    return openFifo(path, access).release();
  } catch (error) {
    throw invalidArgument(`open ${stream} ${path}: ${codeOf(error) ?? 'not a fifo'}`, error);
  }
}
