import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestContainerd } from '../../kit/containerd.ts';
import { TestDaemon } from '../../kit/daemon.ts';
import { TestNetwork } from '../../kit/network.ts';
import { tools } from '../../kit/paths.ts';
import { onContainerd } from '../../kit/peer.ts';
import { TestRegistry } from '../../kit/registry.ts';
import { runLine, type Shown } from '../lines.ts';

/** nerdctl's program; undefined where it could not be built. */
export const nerdctl: string | undefined = existsSync(join(tools, 'nerdctl/nerdctl'))
  ? join(tools, 'nerdctl/nerdctl')
  : undefined;

/** Where CNI's plug-ins keep what they gave to whom: nerdctl has no word for another place. */
const cniState = ['/var/lib/cni/networks', '/var/lib/cni/results'].filter((path) => !existsSync(path));

/** nerdctl's own files for a daemon, in a network of their own, with a registry. Disposal leaves nothing. */
export class NerdctlStage implements AsyncDisposable {
  readonly daemon: TestDaemon | TestContainerd;
  readonly registry: TestRegistry;
  readonly network: TestNetwork;
  readonly #disposal: AsyncDisposableStack;

  private constructor(
    parts: Pick<NerdctlStage, 'daemon' | 'registry' | 'network'>,
    disposal: AsyncDisposableStack,
  ) {
    this.daemon = parts.daemon;
    this.registry = parts.registry;
    this.network = parts.network;
    this.#disposal = disposal;
  }

  static async open(): Promise<NerdctlStage> {
    await using stack = new AsyncDisposableStack();
    for (const path of cniState) stack.defer(() => rmSync(path, { recursive: true, force: true }));
    const network = stack.use(await TestNetwork.open());
    const registry = stack.use(await TestRegistry.start({ ip: network.hostIp }));
    await registry.pushBusybox();
    const daemon = stack.use(onContainerd ? new TestContainerd('2.3') : new TestDaemon());
    await daemon.start({ wrapper: network.wrapper });
    const settings = {
      address: daemon.address,
      data_root: join(daemon.dir, 'nerdctl'),
      cni_path: '/usr/lib/cni',
      cni_netconfpath: join(daemon.dir, 'cni'),
      hosts_dir: [join(daemon.dir, 'certs.d')],
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
    writeFileSync(join(daemon.dir, 'nerdctl.toml'), lines.join('\n'));
    const hosts = join(daemon.dir, 'certs.d', registry.host);
    mkdirSync(hosts, { recursive: true });
    writeFileSync(join(hosts, 'hosts.toml'), `[host."http://${registry.host}"]`);
    return new NerdctlStage({ daemon, registry, network }, stack.move());
  }

  /** Runs a line of bash in a directory of its own, without nerdctl's hints: `$N` is its name, `$I` busybox in the registry `$REG`. */
  async line(name: string, line: string): Promise<Shown> {
    const { daemon, registry, network } = this;
    const env = {
      PATH: `${join(tools, 'nerdctl')}:${process.env.PATH}`,
      NERDCTL_TOML: join(daemon.dir, 'nerdctl.toml'),
      NO_COLOR: '1',
      N: name,
      REG: registry.host,
      I: `${registry.host}/busybox`,
    };
    const place = { cwd: join(daemon.dir, 'lines', name), env, wrapper: network.wrapper };
    const { status, shown } = await runLine(line, place);
    return { status, shown: shown.replaceAll(/^time="[^"]*" level=(?:info|warning) .*\n?/gm, '').trim() };
  }

  /** Kills the daemon and starts it again. */
  async restart(): Promise<void> {
    await this.daemon.stop('SIGKILL');
    await this.daemon.start({ wrapper: this.network.wrapper });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync();
  }
}
