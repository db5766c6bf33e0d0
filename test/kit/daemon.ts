import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { layerMode, layerModeConfig } from './layer-mode.ts';
import { until } from './until.ts';

const top = resolve(import.meta.dirname, '../..');
const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

export interface DaemonOptions {
  /** Reuse directories of an earlier daemon. */
  readonly dir?: string;
  /** Text of the configuration file, beside root, state and address. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly logLevel?: string;
  /** Default: `bin/berthd` of the checkout. */
  readonly program?: string;
}

/** A berthd of its own, with everything below one directory. `dispose` leaves nothing: processes, mounts, files. */
export class TestDaemon implements AsyncDisposable {
  readonly dir: string;
  readonly root: string;
  readonly state: string;
  readonly address: string;
  readonly logFile: string;
  #child: ChildProcess | undefined;
  readonly #options: DaemonOptions;

  constructor(options: DaemonOptions = {}) {
    mkdirSync(work, { recursive: true });
    this.dir = options.dir ?? mkdtempSync(join(work, 'd-'));
    this.root = join(this.dir, 'root');
    this.state = join(this.dir, 'state');
    this.address = join(this.state, 'berth.sock');
    this.logFile = join(this.dir, 'berthd.log');
    this.#options = options;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the daemon is not running');
    return this.#child.pid;
  }

  /** Starts berthd, as the last words of `wrapper` where that is given, and waits until its socket answers. */
  async start({ wrapper = [] }: { wrapper?: readonly string[] } = {}): Promise<this> {
    const config = join(this.dir, 'config.toml');
    writeFileSync(config, `${this.#options.config ?? ''}${layerMode === 'auto' ? '' : layerModeConfig}`);
    const args = [
      '--root',
      this.root,
      '--state',
      this.state,
      '--address',
      this.address,
      '--config',
      config,
      '--log-level',
      this.#options.logLevel ?? 'debug',
    ];
    const [program = '', ...words] = [...wrapper, this.#options.program ?? join(top, 'bin/berthd'), ...args];
    const child = spawn(program, words, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...this.#options.env },
    });
    child.stderr?.pipe(createWriteStream(this.logFile, { flags: 'a' }));
    this.#child = child;
    const isUp = () => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`berthd ended at start:\n${this.log()}`);
      return answers(this.address);
    };
    await until(isUp, () => `berthd to answer:\n${this.log()}`);
    return this;
  }

  /** Ends the daemon (SIGTERM unless said otherwise) and waits for its exit; containers go on. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }

  /** Waits for it to end by itself. @returns its exit status */
  async ended(): Promise<number | null> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child?.exitCode ?? null;
  }

  async restart(signal: NodeJS.Signals = 'SIGTERM'): Promise<this> {
    await this.stop(signal);
    return this.start();
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    killProcessesOf(this.dir);
    await unmountBelow(this.dir);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

export async function startDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const daemon = new TestDaemon(options);
  try {
    return await daemon.start();
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('close', () => socket.destroy());
    socket.once('connect', () => socket.destroy());
  });
}

/** Ends every process that names `dir` on its command line or lives in a container of it: shims, runtimes, containers. */
export function killProcessesOf(dir: string): void {
  for (let round = 0; round < 10; round++) {
    const pids = processesOf(dir);
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Processes that name `dir` on their command line, have a file below it open, or have their root file system mounted below it. */
export function processesOf(dir: string): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter(
    (pid) => pid !== process.pid && (namesIt(pid, dir) || hasOpen(pid, dir) || rootMountIsBelow(pid, dir)),
  );
}

/** Its command line, words divided by spaces; '' when it is gone. */
export const commandOf = (pid: number): string => read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();

const namesIt = (pid: number, dir: string): boolean => commandOf(pid).includes(dir);

function hasOpen(pid: number, dir: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(`${dir}/`),
    );
  } catch {
    return false;
  }
}

function rootMountIsBelow(pid: number, dir: string): boolean {
  return read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .some((line) => line.split(' ')[4] === '/' && line.includes(dir));
}

/** Not as UTF-8: Node 26.10 then writes past its buffer where a machine has many mounts, or one with a long line. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Mount points below `dir`, deepest first. */
export function mountsBelow(dir: string): string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${dir}/`))
    .sort((a, b) => b.length - a.length);
}

async function unmountBelow(dir: string): Promise<void> {
  for (const point of mountsBelow(dir)) {
    const umount = spawn('umount', ['-l', point], { stdio: 'ignore' });
    await once(umount, 'exit');
  }
}
