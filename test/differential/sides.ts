import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescService } from '@bufbuild/protobuf';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { type CallOptions, type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon } from '../kit/daemon.ts';
import { endTasks } from './end-tasks.ts';

/** Method by local name, however it is called. */
export type Methods = Readonly<Record<string, (request: unknown, options?: CallOptions) => unknown>>;

/** One of the two daemons, as calls reach it. */
export interface Side {
  readonly name: 'berth' | 'containerd';
  /** Everything of the daemon is below it. */
  readonly dir: string;
  readonly channel: Channel;
  methods(service: DescService): Methods;
  /** What one unary call answers. */
  ask<T>(service: DescService, method: string, request: unknown, options: CallOptions): Promise<T>;
}

/** Collection happens only when a call asks for it, so that both daemons collect at the same places. */
const config = `[plugins."io.containerd.gc.v1.scheduler"]
mutation_threshold = 0
pause_threshold = 0.0000001
startup_delay = "10h"
`;

/** Berth and containerd 2.3.4, each of its own, next to each other. Disposal leaves nothing. */
export class Sides implements AsyncDisposable {
  readonly both: readonly [Side, Side];
  readonly #containerd: TestContainerd;
  readonly #opened: AsyncDisposableStack;

  private constructor(both: readonly [Side, Side], containerd: TestContainerd, opened: AsyncDisposableStack) {
    this.both = both;
    this.#containerd = containerd;
    this.#opened = opened;
  }

  /** Starts containerd again after a call that it died of. */
  async revive(): Promise<void> {
    await this.#containerd.stop('SIGKILL');
    await this.#containerd.start();
    const version = this.both[1].methods(Version).version;
    for (let tries = 0; ; tries++)
      try {
        await version?.({});
        break;
      } catch (error) {
        if (tries > 200) throw error;
        await sleep(20);
      }
    // At its start it forgets those that have ended.
    await Promise.all(this.both.map(endTasks));
  }

  static async open(): Promise<Sides> {
    await using opened = new AsyncDisposableStack();
    const containerd = opened.use(new TestContainerd('2.3', config));
    await containerd.start();
    const berth = opened.use(await startDaemon({ config: `version = 3\n${config}`, logLevel: 'info' }));
    for (const { dir } of [berth, containerd]) makeRootfs(join(dir, 'rootfs'));
    const both = [sideOf('berth', berth, opened), sideOf('containerd', containerd, opened)] as const;
    return new Sides(both, containerd, opened.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const side of this.both) await endTasks(side).catch(() => {});
    await this.#opened.disposeAsync();
  }
}

/** Just enough for a container that sleeps, or runs a line of shell. */
function makeRootfs(rootfs: string): void {
  for (const name of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const applet of ['sh', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', applet));
}

function sideOf(
  name: Side['name'],
  { dir, address }: { readonly dir: string; readonly address: string },
  opened: AsyncDisposableStack,
): Side {
  const channel = opened.use(openChannel(address));
  const known = new Map<DescService, Methods>();
  const methods = (service: DescService): Methods => {
    const client = known.get(service) ?? (createClient(service, channel) as unknown as Methods);
    known.set(service, client);
    return client;
  };
  const ask = async <T>(service: DescService, method: string, request: unknown, options: CallOptions) => {
    const call = methods(service)[method];
    if (call === undefined) throw new Error(`no method ${method}`);
    return (await call(request, options)) as T;
  };
  return { name, dir, channel, methods, ask };
}
