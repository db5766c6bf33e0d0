import { join } from 'node:path';
import { TestContainerd } from '../../kit/containerd.ts';
import { TestDaemon } from '../../kit/daemon.ts';
import { type DockerdOptions, TestDockerd } from '../../kit/dockerd.ts';
import { TestNetwork } from '../../kit/network.ts';
import { onContainerd } from '../../kit/peer.ts';
import { makeBusyboxLayout, TestRegistry } from '../../kit/registry.ts';
import { runLine, type Shown } from '../lines.ts';

export type DockerOptions = Pick<DockerdOptions, 'generation' | 'containerdStore' | 'liveRestore'>;

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
    const daemon = stack.use(onContainerd ? new TestContainerd('2.3') : new TestDaemon());
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
  line(name: string, line: string): Promise<Shown> {
    const env = { ...this.dockerd.env, N: name, REG: this.registry.host, IP: this.network.ip };
    return runLine(line, { cwd: join(this.dockerd.dir, 'lines', name), env, wrapper: this.network.wrapper });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync();
  }
}
