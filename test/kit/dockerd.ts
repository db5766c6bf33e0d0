import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killProcessesOf, mountsBelow } from './daemon.ts';
import { removeCgroups } from './leftovers.ts';
import { tools } from './paths.ts';
import { run } from './run.ts';
import { patienceMs } from './until.ts';

const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

export interface DockerdOptions {
  /** 28.5.2 of Debian sid, or 20.10.24 of bookworm. */
  readonly generation: 28 | 20;
  /** Images, snapshots and content in the runtime daemon instead of dockerd's own store (28 only). */
  readonly containerdStore?: boolean;
  /** Containers go on without dockerd, too; no swarm then. */
  readonly liveRestore?: boolean;
  /** Socket of the daemon that stands in for containerd, or of containerd. */
  readonly containerd: string;
  /** `IP:PORT` of a registry without TLS: the mirror of the default one, and to push to. */
  readonly registry?: string;
  /** Words before the program's name: where it runs. */
  readonly wrapper: readonly string[];
}

/** An unmodified dockerd with everything below one directory. Disposal leaves nothing but what its network namespace holds. */
export class TestDockerd implements AsyncDisposable {
  readonly dir: string;
  readonly cgroup: string;
  /** For the docker command line of the same generation. */
  readonly env: Readonly<Record<string, string>>;
  readonly #options: DockerdOptions;
  readonly #programs: string;
  #child: ChildProcess | undefined;

  constructor(options: DockerdOptions) {
    mkdirSync(work, { recursive: true });
    this.dir = mkdtempSync(join(work, 'docker-'));
    this.cgroup = `berth-docker-${process.pid}`;
    this.#options = options;
    this.#programs = join(tools, 'docker', `${options.generation}`, 'usr');
    const plugins = join(this.dir, 'cli/cli-plugins');
    mkdirSync(plugins, { recursive: true });
    for (const name of ['docker-buildx', 'docker-compose'])
      symlinkSync(join(tools, 'docker/28/usr/libexec/docker/cli-plugins', name), join(plugins, name));
    this.env = {
      DOCKER_HOST: `unix://${this.dir}/s`,
      DOCKER_CONFIG: join(this.dir, 'cli'),
      PATH: `${join(this.#programs, 'bin')}:${process.env.PATH}`,
    };
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<this> {
    const [program = '', ...args] = [...this.#options.wrapper, join(this.#programs, 'sbin/dockerd')];
    const child = spawn(program, [...args, ...this.#flags()], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.pipe(createWriteStream(this.logFile, { flags: 'a' }));
    this.#child = child;
    for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      if ((await run('docker', ['version'], { env: this.env })).status === 0) return this;
    }
    throw new Error(`dockerd does not answer:\n${readFileSync(this.logFile, 'utf8')}`);
  }

  get logFile(): string {
    return join(this.dir, 'dockerd.log');
  }

  #flags(): string[] {
    const { containerd, containerdStore = false, generation, liveRestore = false, registry } = this.#options;
    const config = join(this.dir, 'daemon.json');
    const { dir } = this;
    const features = containerdStore ? { features: { 'containerd-snapshotter': true } } : {};
    // 20 makes a key that nothing uses any more.
    const key = generation === 20 ? { 'deprecated-key-path': `${dir}/key.json` } : {};
    writeFileSync(config, JSON.stringify({ ...features, ...key, 'live-restore': liveRestore }));
    return [
      ...[
        '--config-file',
        config,
        '--containerd',
        containerd,
        '--host',
        `unix://${dir}/s`,
        '--group',
        'root',
      ],
      ...['--data-root', `${dir}/data`, '--exec-root', `${dir}/exec`, '--pidfile', `${dir}/pid`],
      ...['--userland-proxy-path', join(this.#programs, 'sbin/docker-proxy')],
      ...['--init-path', join(tools, 'docker/28/usr/bin/tini-static')],
      ...(registry === undefined
        ? []
        : ['--registry-mirror', `http://${registry}`, '--insecure-registry', registry]),
      ...['--bip', '172.31.0.1/24', '--cgroup-parent', `/${this.cgroup}`],
    ];
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    killProcessesOf(this.dir);
    for (const point of mountsBelow(this.dir)) await run('umount', ['-l', point]);
    removeCgroups([this.cgroup]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}
