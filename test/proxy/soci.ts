import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listMounts } from '../../src/sys/mountinfo.ts';
import { tools } from '../kit/paths.ts';
import { run } from '../kit/run.ts';

/** What the soci command line keeps where nothing can be configured. */
const fixedRoot = '/var/lib/soci-snapshotter-grpc';
const bin = join(tools, 'soci/bin');
const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

/** soci-snapshotter-grpc of Debian sid with directories of its own, for one registry. */
export class Soci implements AsyncDisposable {
  readonly dir = mkdtempSync(join(work, 'soci-'));
  readonly address = join(this.dir, 'soci.sock');
  readonly cli = join(bin, 'soci');
  readonly #leaveFixedRoot = existsSync(fixedRoot);
  /** What it, and its command line, must trust. */
  readonly env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(caFile: string) {
    this.env = { SSL_CERT_FILE: caFile };
  }

  async start(): Promise<this> {
    const config = join(this.dir, 'config.toml');
    writeFileSync(config, 'no_prometheus = true\n');
    const flags = ['--address', this.address, '--config', config, '--root', join(this.dir, 'root')];
    rmSync(this.address, { force: true });
    const child = spawn(join(bin, 'soci-snapshotter-grpc'), flags, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.env },
    });
    const log = createWriteStream(join(this.dir, 'log'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    while (!existsSync(this.address)) {
      if (child.exitCode !== null) throw new Error(`soci-snapshotter-grpc ended: see ${this.dir}/log`);
      await sleep(20);
    }
    return this;
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
    const left = listMounts().filter(({ mountPoint }) => mountPoint.startsWith(`${this.dir}/`));
    for (const { mountPoint } of left.toReversed()) await run('umount', ['-l', mountPoint]);
    rmSync(this.dir, { recursive: true, force: true });
    if (!this.#leaveFixedRoot) rmSync(fixedRoot, { recursive: true, force: true });
  }
}
