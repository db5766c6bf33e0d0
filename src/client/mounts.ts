import { dataLoss } from '../errors/error.ts';
import { Mounts as MountsService } from '../gen/containerd/services/mounts/v1/mounts_pb.ts';
import type { ActivationInfo } from '../gen/containerd/types/types_pb.ts';
import type { Activation } from '../mounts/activations.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { CallOptions, Connection } from './connection.ts';
import { toDate } from './convert.ts';
import { fromMount, toMount } from './snapshots.ts';

/** How to activate mounts. */
export interface ActivationOptions extends CallOptions {
  /** `containerd.io/gc.bref.{container,content,image,snapshot.<snapshotter>}` keep it from collection. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Make all of them, and give back one bind mount of the last. Default false. */
  readonly temporary?: boolean;
}

/** Named mounts that the daemon makes for its clients: loop devices, EROFS images, file systems and directories. */
export interface Mounts {
  /**
   * Makes what takes more than mount(2); what is left for the caller is in `system`. Without a label or `lease` that
   * keeps it, it goes with the next collection. @throws not_implemented (nothing to make), already_exists, invalid_argument
   */
  activate(name: string, mounts: readonly Mount[], options?: ActivationOptions): Promise<Activation>;
  /** Undoes what was made. @throws not_found */
  deactivate(name: string, options?: CallOptions): Promise<void>;
  /** @throws not_found */
  get(name: string, options?: CallOptions): Promise<Activation>;
  /** By containerd's filters over name and labels; none = all. */
  list(filters?: readonly string[], options?: CallOptions): Promise<Activation[]>;
}

function fromWire(info: ActivationInfo | undefined): Activation {
  if (info === undefined) throw dataLoss('daemon sent no activation');
  return {
    name: info.name,
    active: info.active.map(({ mount, mountPoint, mountedAt }) => {
      if (mount === undefined) throw dataLoss('daemon sent an active mount without its mount');
      return { ...fromMount(mount), mountPoint, mountedAt: toDate(mountedAt) };
    }),
    system: info.system.map(fromMount),
    labels: { ...info.labels },
  };
}

/** The activations of the connection's namespace. */
export function remoteMounts(connection: Connection): Mounts {
  const service = connection.service(MountsService);
  return {
    async activate(name, mounts, options = {}) {
      const { labels = {}, temporary = false } = options;
      const request = { name, mounts: mounts.map(toMount), labels: { ...labels }, temporary };
      return fromWire((await service.activate(request, connection.slow(options))).info);
    },
    async deactivate(name, options) {
      await service.deactivate({ name }, connection.slow(options));
    },
    async get(name, options) {
      return fromWire((await service.info({ name }, connection.unary(options))).info);
    },
    async list(filters = [], options) {
      const found: Activation[] = [];
      for await (const message of service.list({ filters: [...filters] }, connection.stream(options)))
        found.push(fromWire(message.info));
      return found;
    },
  };
}
