import { readdirSync, readFileSync } from 'node:fs';
import { isKind, kindOf, messageOf } from '../../src/errors/error.ts';
import { Mounts } from '../../src/gen/containerd/services/mounts/v1/mounts_pb.ts';
import { type Channel, createClient, openChannel, type ServiceClient } from '../../src/rpc/grpc-client.ts';
import { mountsBelow, startDaemon, type TestDaemon } from '../kit/daemon.ts';

/** A daemon with a client of its Mounts service. */
export class MountStage implements AsyncDisposable {
  readonly daemon: TestDaemon;
  channel: Channel;
  mounts: ServiceClient<typeof Mounts>;

  private constructor(daemon: TestDaemon) {
    this.daemon = daemon;
    this.channel = openChannel(daemon.address, { namespace: 'm' });
    this.mounts = createClient(Mounts, this.channel);
  }

  static open = async (): Promise<MountStage> => new MountStage(await startDaemon());

  async restart(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.channel[Symbol.dispose]();
    await this.daemon.restart(signal);
    this.channel = openChannel(this.daemon.address, { namespace: 'm' });
    this.mounts = createClient(Mounts, this.channel);
  }

  /** Names of what is activated. */
  async names(): Promise<string[]> {
    const infos = await Array.fromAsync(this.mounts.list({ filters: [] }));
    return infos.map(({ info }) => info?.name ?? '');
  }

  /** Mount points and links of activations that there are. */
  left(): string[] {
    const dir = `${this.daemon.state}/mounts`;
    const entries = readdirSync(dir).flatMap((id) =>
      readdirSync(`${dir}/${id}`).map((name) => `${id}/${name}`),
    );
    return [...new Set([...entries, ...mountsBelow(dir)])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel[Symbol.dispose]();
    await this.daemon[Symbol.asyncDispose]();
  }
}

/** A mount as clients send one. */
export const mount = (type: string, source: string, ...options: string[]) => ({
  type,
  source,
  target: '',
  options,
});

/** Loop devices over files below a directory. */
export function loopsOver(dir: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .filter((name) => backingFile(name).startsWith(`${dir}/`));
}

function backingFile(name: string): string {
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** `kind | message` of the failure of a call. */
export async function failureOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'none';
  } catch (error) {
    return `${kindOf(error)} | ${messageOf(error)}`;
  }
}

export const isMissing = (error: unknown): boolean => isKind(error, 'not_found');
