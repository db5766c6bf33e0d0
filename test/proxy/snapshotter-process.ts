import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountsBelow } from '../kit/daemon.ts';
import { run } from '../kit/run.ts';

const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

/** A snapshotter of others as a process of its own, with everything below one directory. */
export class SnapshotterProcess implements AsyncDisposable {
  readonly dir: string;
  readonly address: string;
  readonly #command: (dir: string, address: string) => readonly [program: string, ...words: string[]];
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(
    name: string,
    command: (dir: string, address: string) => readonly [program: string, ...words: string[]],
    env: Readonly<Record<string, string>> = {},
  ) {
    mkdirSync(work, { recursive: true });
    this.dir = mkdtempSync(join(work, `${name}-`));
    this.address = join(this.dir, 'snapshotter.sock');
    this.#command = command;
    this.#env = env;
  }

  /** Lines for a daemon's configuration that make it the snapshotter `name`. */
  plugin(name: string): string {
    const exports = '{ root = "/nowhere", enable_remote_snapshot_annotations = "true" }';
    return `[proxy_plugins.${name}]\ntype = "snapshot"\naddress = "${this.address}"\nexports = ${exports}\n`;
  }

  /** Starts it and waits for its socket. */
  async start(): Promise<this> {
    rmSync(this.address, { force: true });
    const [program, ...words] = this.#command(this.dir, this.address);
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#env },
    });
    const log = createWriteStream(join(this.dir, 'log'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    while (!existsSync(this.address)) {
      if (child.exitCode !== null) throw new Error(`${program} ended: see ${this.dir}/log`);
      await sleep(20);
    }
    return this;
  }

  /** Sends a signal that does not end it: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (const point of mountsBelow(this.dir)) await run('umount', ['-l', point]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
