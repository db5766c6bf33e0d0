import { notFound } from '../errors/error.ts';
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

/**
 * The streams of a process without a terminal.
 * @throws invalid_argument, not_implemented (scheme), not_found (no such logger)
 */
export class PlainStdio implements ProcessStdio {
  readonly runtimeStdio: RuntimeStdio;
  readonly consoleSocket = undefined;
  readonly #stdin: FifoInput | undefined;
  readonly #outputs: Outputs;
  readonly #all: DisposableStack;

  constructor(paths: StdioPaths, place: StdioPlace) {
    using opened = new DisposableStack();
    this.#stdin = paths.stdin === '' ? undefined : new FifoInput(paths.stdin, place);
    opened.defer(() => this.#stdin?.close());
    this.#outputs = opened.use(new Outputs(paths, place));
    const { stdout, stderr } = this.#outputs;
    const fd = (stream: { containerFd: number } | undefined) => stream?.containerFd ?? 'ignore';
    this.runtimeStdio = [fd(this.#stdin), fd(stdout), fd(stderr)];
    this.#all = opened.move();
  }

  get ready(): Promise<void> {
    return this.#outputs.ready;
  }

  async started(): Promise<void> {
    this.#stdin?.started();
    for (const output of this.#outputs.all) output.started();
  }

  closeStdin(): void {
    this.#stdin?.closeStdin();
  }

  /** A process without a terminal has no size: containerd's shims ignore the call, and so does this one. */
  resize(): void {}

  async reopenLog(): Promise<void> {
    if (this.#outputs.logs.isEmpty) throw notFound('log of the process');
    await this.#outputs.logs.reopen();
  }

  held(): HeldFds {
    return { ...heldOf({ stdin: this.#stdin?.held }), ...this.#outputs.held() };
  }

  async ended(): Promise<void> {
    this.closeStdin();
    for (const output of this.#outputs.all) output.ended();
    await within(drainTimeoutMs, Promise.all(this.#outputs.all.map((output) => output.drained)));
  }

  close(): void {
    this.#all.dispose();
  }
}
