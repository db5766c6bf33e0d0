import { failedPrecondition, notFound, unknown } from '../errors/error.ts';
import type { WindowSize } from '../sys/tty.ts';
import { type FdReceiver, listenForFd } from '../sys/unix-socket.ts';
import { Console } from './console.ts';
import { type HeldFds, heldOf } from './fd-store.ts';
import { FifoInput } from './fifo.ts';
import { Outputs } from './outputs.ts';
import {
  drainTimeoutMs,
  type ProcessStdio,
  type RuntimeStdio,
  type StdioPaths,
  type StdioPlace,
  within,
} from './stdio.ts';

/** The runtime sends the terminal before its create or exec returns, so this is generous. */
const consoleTimeoutMs = 10_000;

/**
 * The streams of a process with a terminal: the runtime sends its controlling end over `consoleSocket`; the shim keeps
 * it and has bytes moved between it and FIFOs, each way only as fast as the other end takes them. After the shim's
 * death its successor has the terminal from the store of descriptors, and goes on.
 * @throws invalid_argument, not_implemented (scheme)
 */
export class TerminalStdio implements ProcessStdio {
  readonly runtimeStdio: RuntimeStdio = ['ignore', 'ignore', 'ignore'];
  readonly consoleSocket: string | undefined;
  readonly #receiver: FdReceiver | undefined;
  readonly #outputs: Outputs;
  readonly #stdin: FifoInput | undefined;
  readonly #changed: () => void;
  readonly #all: DisposableStack;
  #console: Console | undefined;
  #copied: Promise<void> = Promise.resolve();

  constructor(paths: StdioPaths, place: StdioPlace) {
    using opened = new DisposableStack();
    this.#changed = place.changed;
    this.#stdin = paths.stdin === '' ? undefined : new FifoInput(paths.stdin, place);
    opened.defer(() => this.#stdin?.close());
    this.#outputs = opened.use(new Outputs(paths, place));
    const kept = place.found.get('terminal');
    if (kept === undefined) this.#receiver = opened.use(listenForFd(place.consoleSocketPath()));
    else this.#console = new Console(kept);
    opened.defer(() => this.#console?.close());
    this.consoleSocket = this.#receiver?.path;
    this.#all = opened.move();
  }

  get ready(): Promise<void> {
    return this.#outputs.ready;
  }

  async started(): Promise<void> {
    this.#console ??= new Console(await this.#receive());
    this.#receiver?.[Symbol.dispose]();
    this.#copied = this.#copy(this.#console);
    if (this.#stdin !== undefined) void this.#console.typeFrom(this.#stdin.containerFd);
  }

  closeStdin(): void {
    this.#stdin?.closeStdin();
  }

  resize(size: WindowSize): void {
    if (this.#console === undefined) throw failedPrecondition('process has no terminal yet');
    this.#console.resize(size);
  }

  async reopenLog(): Promise<void> {
    if (this.#outputs.logs.isEmpty) throw notFound('log of the process');
    await this.#outputs.logs.reopen();
  }

  held(): HeldFds {
    return { ...heldOf({ terminal: this.#console?.fd, stdin: this.#stdin?.held }), ...this.#outputs.held() };
  }

  async ended(): Promise<void> {
    this.#console?.stopTyping();
    this.#stdin?.close();
    await within(drainTimeoutMs, this.#drained());
  }

  close(): void {
    this.#all.dispose();
  }

  async #receive() {
    const deadline = AbortSignal.timeout(consoleTimeoutMs);
    if (this.#receiver === undefined) throw unknown('the terminal was given away');
    return this.#receiver.receive(deadline).catch((error) => {
      throw unknown('the runtime sent no terminal', error);
    });
  }

  /** Output nobody wants is taken all the same, or the process would wait for ever. */
  async #copy(terminal: Console): Promise<void> {
    const { stdout } = this.#outputs;
    await terminal.copyTo(stdout?.containerFd);
    stdout?.ended();
    terminal.close();
    this.#changed();
  }

  async #drained(): Promise<void> {
    await this.#copied;
    await this.#outputs.stdout?.drained;
  }
}
