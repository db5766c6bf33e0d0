import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killProcessesOf, mountsBelow } from './daemon.ts';
import { containerd1, containerd2, ctr1, ctr2 } from './paths.ts';
import { run } from './run.ts';
import { patienceMs } from './until.ts';

const programs = { '1.6': [containerd1, ctr1], '2.3': [containerd2, ctr2] } as const;
const unused = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.cri.v1.images',
  'io.containerd.cri.v1.runtime',
  'io.containerd.podsandbox.controller.v1',
  'io.containerd.nri.v1.nri',
];

/** A containerd of its own, with everything below one directory. */
export class TestContainerd implements AsyncDisposable {
  readonly dir = mkdtempSync('/var/tmp/berth-containerd-');
  readonly state = join(this.dir, 'state');
  readonly address = join(this.dir, 'c.sock');
  readonly ctr: string;
  readonly #program: string;
  #child: ChildProcess | undefined;

  /** `config` follows what is needed to keep it apart from others. */
  constructor(generation: keyof typeof programs, config = '') {
    [this.#program, this.ctr] = programs[generation];
    const lines = [
      `version = ${generation === '1.6' ? 2 : 3}`,
      `root = "${this.dir}/root"`,
      `state = "${this.state}"`,
      `disabled_plugins = ${JSON.stringify(unused)}`,
      `[grpc]\naddress = "${this.address}"`,
      `[ttrpc]\naddress = "${this.address}.ttrpc"`,
      config,
    ];
    writeFileSync(join(this.dir, 'config.toml'), lines.join('\n'));
  }

  /** Starts it, as the last words of `wrapper` where that is given, and waits until it answers. */
  async start({ wrapper = [] }: { wrapper?: readonly string[] } = {}): Promise<this> {
    const [program = '', ...words] = [...wrapper, this.#program, '-c', join(this.dir, 'config.toml')];
    // Its shims are looked for in PATH.
    const env = { ...process.env, PATH: `${dirname(this.#program)}:${process.env.PATH}` };
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env });
    for (const stream of [child.stdout, child.stderr])
      stream.pipe(createWriteStream(join(this.dir, 'log'), { flags: 'a' }));
    this.#child = child;
    for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) {
      if (child.exitCode !== null) break;
      if (existsSync(this.address) && (await run(this.ctr, ['-a', this.address, 'version'])).status === 0)
        return this;
    }
    throw new Error(`containerd does not answer:\n${this.log()}`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    killProcessesOf(this.dir);
    for (const point of mountsBelow(this.dir)) await run('umount', ['-l', point]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}
