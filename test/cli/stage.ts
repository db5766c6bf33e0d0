import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonOptions, startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { TestRegistry } from '../kit/registry.ts';
import { type RunOptions, type RunResult, run } from '../kit/run.ts';
import { patienceMs, until } from '../kit/until.ts';

const top = resolve(import.meta.dirname, '../..');
export const program = join(top, 'bin/berth');

/** A daemon, a registry with busybox, and the command line pointed at them. Disposal leaves nothing. */
export class Stage implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly registry: TestRegistry;
  /** Reference of busybox in the registry. */
  readonly image: string;
  readonly env: Readonly<Record<string, string>>;

  private constructor(daemon: TestDaemon, registry: TestRegistry, image: string) {
    this.daemon = daemon;
    this.registry = registry;
    this.image = image;
    this.env = { BERTH_ADDRESS: daemon.address, NO_COLOR: '1', DOCKER_CONFIG: daemon.dir };
  }

  static async open(options: DaemonOptions = {}): Promise<Stage> {
    await using stack = new AsyncDisposableStack();
    const registry = stack.use(await TestRegistry.start());
    const image = await registry.pushBusybox();
    const daemon = stack.use(await startDaemon(options));
    stack.move();
    return new Stage(daemon, registry, image);
  }

  berth(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(program, args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Standard output of a command that must succeed, trimmed. */
  async ok(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.berth(args);
    if (status !== 0) throw new Error(`berth ${args.join(' ')} ended with ${status}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** A shell line in a terminal of its own, typed into and read like by a person. */
  terminal(line: string): Screen {
    return new Screen(line, {
      ...process.env,
      ...this.env,
      TERM: 'xterm',
      PATH: `${join(top, 'bin')}:${process.env.PATH}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
  }
}

/** script(1) gives the line a pseudo-terminal. */
export class Screen implements AsyncDisposable {
  text = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<unknown>;

  constructor(line: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], { env, detached: true });
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.text += chunk.toString();
    });
    this.#child.stdin.on('error', () => {});
    this.#ended = once(this.#child, 'close');
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Waits until the screen has shown `pattern`. */
  see(pattern: RegExp): Promise<void> {
    return until(
      () => pattern.test(this.text),
      () => `${pattern}; shown: ${JSON.stringify(this.text)}`,
    );
  }

  /** Everything shown, once the line has ended. */
  async end(): Promise<string> {
    const late = sleep(patienceMs, 'late', { ref: false });
    if ((await Promise.race([this.#ended, late])) === 'late') {
      throw new Error(`the line has not ended; shown: ${JSON.stringify(this.text)}`);
    }
    return this.text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    process.kill(-pid, 'SIGKILL');
    await this.#ended;
  }
}
