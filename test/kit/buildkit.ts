import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killProcessesOf, mountsBelow } from './daemon.ts';
import { tools } from './paths.ts';
import { output, type RunResult, run } from './run.ts';
import { patienceMs } from './until.ts';

/** buildkitd 0.32.0; undefined where it could not be built. */
export const buildkitd: string | undefined = existsSync(join(tools, 'buildkit/buildkitd'))
  ? join(tools, 'buildkit/buildkitd')
  : undefined;
const buildctl = join(tools, 'buildkit/buildctl');
const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

export interface BuildkitOptions {
  /** Socket of the containerd, or Berth, that does the work. */
  readonly address: string;
  readonly namespace: string;
  /** Default: overlayfs. */
  readonly snapshotter?: string | undefined;
  /** `host:port` of a registry without TLS. */
  readonly registry: string;
}

/** A buildkitd with the containerd worker alone, with everything below one directory. */
export class Buildkit implements AsyncDisposable {
  readonly dir: string;
  readonly #address: string;
  #child: ChildProcess | undefined;

  constructor({ address, namespace, snapshotter = 'overlayfs', registry }: BuildkitOptions) {
    mkdirSync(work, { recursive: true });
    this.dir = mkdtempSync(join(work, 'buildkit-'));
    this.#address = `unix://${this.dir}/b.sock`;
    mkdirSync(join(this.dir, 'tmp'));
    const lines = [
      `root = "${this.dir}/root"`,
      `[grpc]\naddress = ["${this.#address}"]`,
      `[otel]\nsocketPath = "${this.dir}/otel.sock"`,
      `[cdi]\ndisabled = true`,
      '[worker.oci]\nenabled = false',
      '[worker.containerd]\nenabled = true\ngc = false\nnetworkMode = "host"',
      `address = "${address}"\nnamespace = "${namespace}"\nsnapshotter = "${snapshotter}"`,
      `[registry."${registry}"]\nhttp = true`,
    ];
    writeFileSync(join(this.dir, 'buildkitd.toml'), lines.join('\n'));
  }

  /** Starts it and waits until it has its worker. */
  async start(): Promise<this> {
    const child = spawn(buildkitd ?? 'buildkitd', ['--config', join(this.dir, 'buildkitd.toml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: join(this.dir, 'tmp') },
    });
    for (const stream of [child.stdout, child.stderr])
      stream.pipe(createWriteStream(join(this.dir, 'log'), { flags: 'a' }));
    this.#child = child;
    for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) {
      if (child.exitCode !== null) break;
      if ((await this.buildctl('debug', 'workers')).status === 0) return this;
    }
    throw new Error(`buildkitd does not answer:\n${this.log()}`);
  }

  buildctl(...args: string[]): Promise<RunResult> {
    return run(buildctl, ['--addr', this.#address, ...args], { timeoutMs: 180_000 });
  }

  /**
   * Builds a Dockerfile.
   * @param files  name → text, the Dockerfile among them: the whole context
   * @param more  further words for `buildctl build`
   * @returns the progress it printed
   */
  async build(files: Readonly<Record<string, string>>, ...more: string[]): Promise<string> {
    const { status, stderr } = await this.tryBuild(files, ...more);
    if (status !== 0) throw new Error(`buildctl build ${more.join(' ')} ended with ${status}:\n${stderr}`);
    return stderr;
  }

  async tryBuild(files: Readonly<Record<string, string>>, ...more: string[]): Promise<RunResult> {
    const context = mkdtempSync(join(this.dir, 'context-'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(context, name), text);
    const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    return this.buildctl('build', '--progress=plain', '--frontend=dockerfile.v0', ...local, ...more);
  }

  /** Waits until its connection to a restarted daemon is back: until then, and for a second or so, its calls fail. */
  async reconnected(): Promise<void> {
    const smallest = { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' };
    for (let tries = 0; (await this.tryBuild(smallest)).status !== 0; tries++)
      if (tries === 100) throw new Error(`buildkitd does not come back:\n${this.log()}`);
  }

  /** Cache records, as `buildctl du` lists them. */
  async usage(): Promise<string[]> {
    const { stdout } = await this.buildctl('du');
    return stdout.split('\n').filter((line) => /^[a-z0-9]{25}/.test(line));
  }

  /** Removes all that no build uses. */
  async prune(): Promise<void> {
    const { status, stderr } = await this.buildctl('prune', '--all');
    if (status !== 0) throw new Error(stderr);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    killProcessesOf(this.dir);
    for (const point of mountsBelow(this.dir)) await output('umount', ['-l', point]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}
