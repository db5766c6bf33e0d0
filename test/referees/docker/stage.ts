import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TestContainerd } from '../../kit/containerd.ts';
import { TestDaemon } from '../../kit/daemon.ts';
import { type DockerdOptions, TestDockerd } from '../../kit/dockerd.ts';
import { TestNetwork } from '../../kit/network.ts';
import { makeBusyboxLayout, TestRegistry } from '../../kit/registry.ts';
import { run } from '../../kit/run.ts';

/** What judges Berth, or with BERTH_TEST_PEER=containerd the peer it stands in for. */
export const peer = process.env.BERTH_TEST_PEER === 'containerd';

export type DockerOptions = Pick<DockerdOptions, 'generation' | 'containerdStore' | 'liveRestore'>;

export interface Shown {
  readonly status: number | null;
  /** stdout and stderr as one, runs of blanks as one. */
  readonly shown: string;
}

/** `wait_for COMMAND…`: until it succeeds, for half a minute at most. */
const prelude = `exec 2>&1
wait_for() { local i; for i in $(seq 300); do eval "$*" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*"; exit 99; }`;

/** dockerd on a daemon of its own, in a network of their own, with a registry. Disposal leaves nothing. */
export class DockerStage implements AsyncDisposable {
  readonly daemon: TestDaemon | TestContainerd;
  readonly dockerd: TestDockerd;
  readonly registry: TestRegistry;
  readonly network: TestNetwork;
  readonly generation: 28 | 20;
  readonly #disposal: AsyncDisposableStack;

  private constructor(
    parts: Pick<DockerStage, 'daemon' | 'dockerd' | 'registry' | 'network' | 'generation'>,
    disposal: AsyncDisposableStack,
  ) {
    this.daemon = parts.daemon;
    this.dockerd = parts.dockerd;
    this.registry = parts.registry;
    this.network = parts.network;
    this.generation = parts.generation;
    this.#disposal = disposal;
  }

  static async open(options: DockerOptions): Promise<DockerStage> {
    await using stack = new AsyncDisposableStack();
    const network = stack.use(await TestNetwork.open());
    const registry = stack.use(await TestRegistry.start({ ip: network.hostIp }));
    const layout = await makeBusyboxLayout(registry.dir);
    for (const name of ['busybox', 'pulled']) await registry.push(`${layout}:busybox`, `library/${name}`);
    const { wrapper } = network;
    const daemon = stack.use(peer ? new TestContainerd('2.3') : new TestDaemon());
    await daemon.start({ wrapper });
    const target = { containerd: daemon.address, registry: registry.host, wrapper };
    const dockerd = stack.use(new TestDockerd({ ...options, ...target }));
    await dockerd.start();
    return new DockerStage(
      { daemon, dockerd, registry, network, generation: options.generation },
      stack.move(),
    );
  }

  /** Runs a line of bash beside dockerd, in a directory of its own: `$N` is its name, `$REG` the registry, `$IP` an address of dockerd. */
  async line(name: string, line: string): Promise<Shown> {
    const cwd = join(this.dockerd.dir, 'lines', name);
    mkdirSync(cwd, { recursive: true });
    const [program = '', ...words] = [...this.network.wrapper, 'timeout', '-s', 'KILL', '60'];
    const { status, stdout } = await run(program, [...words, 'bash', '-c', `${prelude}\n${line}`], {
      env: { ...this.dockerd.env, N: name, REG: this.registry.host, IP: this.network.ip },
      cwd,
      timeoutMs: 90_000,
    });
    const shown = stdout
      .replaceAll(/[ \t]+/g, ' ')
      .replaceAll(/ ?\r?\n ?/g, '\n')
      .trim();
    return { status, shown };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync();
  }
}
