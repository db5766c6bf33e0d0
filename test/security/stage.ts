import { readFileSync } from 'node:fs';
import { type BerthClient, connect } from '../../src/client/connect.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { FlakyRegistry } from '../kit/flaky-registry.ts';
import { bin } from '../kit/paths.ts';
import { type RunResult, run } from '../kit/run.ts';
import { dir, file, symlink, type TarMember, tar } from '../kit/tar-builder.ts';

const applets = ['sh', 'cat', 'ls', 'env', 'id', 'grep', 'sleep', 'true', 'readlink', 'head', 'tr', 'pwd'];

/** Members of a small root file system that every image here begins with, so that its layer is one. */
const base: readonly TarMember[] = [
  dir('bin/'),
  file('bin/busybox', readFileSync('/bin/busybox'), { mode: 0o755 }),
  ...applets.map((name) => symlink(`bin/${name}`, 'busybox')),
];

/** A daemon whose environment holds a canary, a registry of images made byte by byte, and clients of both. */
export class SecurityStage implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly registry: FlakyRegistry;
  readonly berth: BerthClient;

  private constructor(daemon: TestDaemon, registry: FlakyRegistry, berth: BerthClient) {
    this.daemon = daemon;
    this.registry = registry;
    this.berth = berth;
  }

  static async open(env: Readonly<Record<string, string>> = {}, config = ''): Promise<SecurityStage> {
    await using stack = new AsyncDisposableStack();
    const registry = stack.use(await FlakyRegistry.start());
    const daemon = stack.use(await startDaemon({ env, config, logLevel: 'trace' }));
    const berth = stack.use(connect({ address: daemon.address }));
    stack.move();
    return new SecurityStage(daemon, registry, berth);
  }

  /** Adds an image: busybox, then a layer of `members`; `config` is its config's `config`. Answers its reference. */
  image(name: string, config: object = {}, members: readonly TarMember[] = []): string {
    this.registry.addImage(name, 'x', [tar(...base), tar(...members)], { config: { config } });
    return `${this.registry.host}/${name}:x`;
  }

  cli(...args: readonly string[]): Promise<RunResult> {
    const env = { BERTH_ADDRESS: this.daemon.address, NO_COLOR: '1', DOCKER_CONFIG: this.daemon.dir };
    return run(bin('berth'), args, { env, timeoutMs: 30_000 });
  }

  /** What a shell script shows that runs in a new container; flags go before the image. @throws when it fails */
  async sh(script: string, image: string, ...flags: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.cli(
      'run',
      '--rm',
      '-q',
      ...flags,
      image,
      '/bin/sh',
      '-c',
      script,
    );
    if (status !== 0) throw new Error(`ended with ${status}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.berth.close();
    await this.daemon[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
  }
}

/** A line of /proc/…/status. */
export const field = (status: string, name: string): string | undefined =>
  new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(status)?.[1];
