import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Limiter } from '../async/limiter.ts';
import { type BerthError, messageOf, unknown, wrap } from '../errors/error.ts';
import { type Command, type Finished, runCommand } from './run-command.ts';

/** Where and how a runtime keeps its containers: the global arguments of each call. */
export interface RuntimePlace {
  readonly file: string;
  /** Directory of the runtime's own state, one a namespace. */
  readonly root: string;
  readonly systemdCgroup: boolean;
  /** Whether this is runc itself: see runtime-shortcuts.ts. */
  readonly isRunc: boolean;
  readonly isCrun: boolean;
}

type Stdio = NonNullable<Command['stdio']>;

/** Deadlines: hooks and slow disks are the caller's business for long, a signal is not. */
const longMs = 120_000;
const shortMs = 30_000;
/** Memory by the gigabyte goes to a disk, or comes from it. */
const checkpointMs = 600_000;
const maxLogBytes = 1024 * 1024;
/** Runtimes at work at the same time; more would only wait for the same cores. */
const running = new Limiter(32);

/**
 * The command line of an OCI runtime (runc, crun, youki …), one method a command. Failures carry the runtime's own
 * last error unchanged after containerd's words ("OCI runtime create failed: …"), which clients match.
 */
export class OciRuntime {
  readonly #place: RuntimePlace;
  readonly #logPath: string;

  /** `logPath`: file that the runtime writes its JSON log to; one a container or exec. */
  constructor(place: RuntimePlace, logPath: string) {
    this.#place = place;
    this.#logPath = logPath;
  }

  async create(id: string, options: CreateOptions): Promise<void> {
    await mkdir(this.#place.root, { recursive: true, mode: 0o700 });
    const args = ['create', '--bundle', options.bundle, '--pid-file', options.pidFile];
    if (options.consoleSocket !== undefined) args.push('--console-socket', options.consoleSocket);
    if (options.noPivotRoot) args.push('--no-pivot');
    if (options.noNewKeyring) args.push('--no-new-keyring');
    await this.#run('create', [...args, id], longMs, { stdio: options.stdio, cwd: options.bundle });
  }

  async start(id: string): Promise<void> {
    await this.#run('start', ['start', id], longMs);
  }

  async exec(id: string, options: ExecOptions): Promise<void> {
    const args = ['exec', '--process', options.processFile, '--detach', '--pid-file', options.pidFile];
    if (options.consoleSocket !== undefined) args.push('--console-socket', options.consoleSocket);
    await this.#run('exec', [...args, id], longMs, { stdio: options.stdio });
  }

  /** Has criu write down the processes. `options`: what is said to `checkpoint` but for the container's id. */
  async checkpoint(id: string, options: readonly string[]): Promise<void> {
    await this.#run('checkpoint', ['checkpoint', ...options, id], checkpointMs);
  }

  /** Has criu bring the processes of a checkpoint back; they run. `more`: what else is said to `restore`. */
  async restore(id: string, options: CreateOptions, more: readonly string[]): Promise<void> {
    await mkdir(this.#place.root, { recursive: true, mode: 0o700 });
    const { bundle, pidFile, consoleSocket, stdio } = options;
    const args = ['restore', '--detach', '--bundle', bundle, '--pid-file', pidFile, ...more];
    if (consoleSocket !== undefined) args.push('--console-socket', consoleSocket);
    if (options.noPivotRoot) args.push('--no-pivot');
    await this.#run('restore', [...args, id], checkpointMs, { stdio, cwd: bundle });
  }

  /** `created`, `running`, `paused`, `stopped` (runtime-spec's state). @throws unknown (it does not know the container) */
  async state(id: string): Promise<string> {
    const { stdout } = await this.#run('state', ['state', id], shortMs);
    return String((JSON.parse(stdout) as { status?: unknown }).status);
  }

  async kill(id: string, signal: number, all: boolean): Promise<void> {
    await this.#run('kill', ['kill', ...(all ? ['--all'] : []), id, String(signal)], shortMs);
  }

  /** A runtime that is killed over it is asked again: to delete twice does no harm, not to delete leaves processes. */
  async delete(id: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      const finished = await this.#finish('delete', ['delete', '--force', id], shortMs, {});
      if (finished.code === 0) return;
      const wasKilled = finished.code === killedCode && !finished.timedOut;
      if (!wasKilled || tries === maxDeletes) throw this.#failure('delete', finished);
    }
  }

  async pause(id: string): Promise<void> {
    await this.#run('pause', ['pause', id], shortMs);
  }

  async resume(id: string): Promise<void> {
    await this.#run('resume', ['resume', id], shortMs);
  }

  /** `resourcesFile`: the runtime specification's LinuxResources, JSON. A file, because crun cannot open a socket as stdin. */
  async update(id: string, resourcesFile: string): Promise<void> {
    await this.#run('update', ['update', '--resources', resourcesFile, id], shortMs);
  }

  /** Pids in the container, as the host sees them. */
  async pids(id: string): Promise<number[]> {
    const { stdout } = await this.#run('ps', ['ps', '--format', 'json', id], shortMs);
    const pids: unknown = JSON.parse(stdout === '' ? '[]' : stdout);
    return Array.isArray(pids) ? pids.filter((pid) => Number.isSafeInteger(pid)) : [];
  }

  async #run(
    verb: string,
    args: string[],
    timeoutMs: number,
    more: Partial<Command> = {},
  ): Promise<Finished> {
    const finished = await this.#finish(verb, args, timeoutMs, more);
    if (finished.code === 0) return finished;
    throw this.#failure(verb, finished);
  }

  #failure(verb: string, finished: Finished): BerthError {
    return unknown(`OCI runtime ${verb} failed: ${this.#reason(finished)}`);
  }

  async #finish(verb: string, args: string[], timeoutMs: number, more: Partial<Command>): Promise<Finished> {
    const { file, root, systemdCgroup } = this.#place;
    const global = ['--root', root, '--log', this.#logPath, '--log-format', 'json'];
    if (systemdCgroup) global.push('--systemd-cgroup');
    using _turn = await running.acquire(AbortSignal.timeout(longMs));
    try {
      return await runCommand({ file, args: [...global, ...args], timeoutMs, ...more });
    } catch (error) {
      throw wrap(error, `OCI runtime ${verb} failed`);
    }
  }

  #reason({ code, stderr, timedOut }: Finished): string {
    if (timedOut) return 'context deadline exceeded';
    return lastLoggedError(this.#logPath) || stderr.trim() || `exit status ${code}`;
  }
}

const killedCode = 137;
const maxDeletes = 6;

export interface CreateOptions {
  readonly bundle: string;
  readonly pidFile: string;
  readonly stdio: Stdio;
  readonly consoleSocket?: string | undefined;
  readonly noPivotRoot?: boolean;
  readonly noNewKeyring?: boolean;
}

export interface ExecOptions {
  readonly processFile: string;
  readonly pidFile: string;
  readonly stdio: Stdio;
  readonly consoleSocket?: string | undefined;
}

/** The message of the last line at level `error` in a runtime's JSON log; '' when there is none. */
export function lastLoggedError(path: string): string {
  const lines = readEnd(path).split('\n').reverse();
  for (const line of lines) {
    const entry = parseLine(line);
    if (entry?.level === 'error' && typeof entry.msg === 'string') return entry.msg.trim();
  }
  return '';
}

function readEnd(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(-maxLogBytes);
  } catch {
    return '';
  }
}

function parseLine(line: string): { level?: unknown; msg?: unknown } | undefined {
  try {
    return JSON.parse(line) as { level?: unknown; msg?: unknown };
  } catch {
    return undefined;
  }
}

/** The pid that a runtime wrote. @throws unknown when it wrote none */
export function readPidFile(path: string): number {
  const pid = Number(readText(path));
  if (!Number.isSafeInteger(pid) || pid <= 1) throw unknown(`pid file ${path} holds no pid`);
  return pid;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw unknown(`pid file ${path}: ${messageOf(error)}`, error);
  }
}
