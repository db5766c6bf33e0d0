import type { Context } from '../async/context.ts';
import { dataLoss } from '../errors/error.ts';
import {
  Kind,
  Snapshots as SnapshotsService,
  type Info as WireInfo,
} from '../gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import type { Mount as WireMount } from '../gen/containerd/types/types_pb.ts';
import type { Mount, SnapshotInfo, SnapshotKind, Snapshotter } from '../snapshots/snapshotter.ts';
import type { Connection } from './connection.ts';
import { toDate, toSize } from './convert.ts';

const kinds: Readonly<Record<number, SnapshotKind>> = {
  [Kind.VIEW]: 'view',
  [Kind.ACTIVE]: 'active',
  [Kind.COMMITTED]: 'committed',
};

function fromInfo(wire: WireInfo | undefined): SnapshotInfo {
  const kind = kinds[wire?.kind ?? Kind.UNKNOWN];
  if (wire === undefined || kind === undefined) throw dataLoss('daemon sent a snapshot without a kind');
  return {
    name: wire.name,
    parent: wire.parent,
    kind,
    createdAt: toDate(wire.createdAt),
    updatedAt: toDate(wire.updatedAt),
    labels: { ...wire.labels },
  };
}

/** @internal shared with tasks */
export const fromMount = (wire: WireMount): Mount => ({
  type: wire.type,
  source: wire.source,
  ...(wire.target === '' ? {} : { target: wire.target }),
  options: wire.options,
});

/** A mount for the wire. */
export const toMount = ({ type, source, target = '', options }: Mount) => ({
  type,
  source,
  target,
  options: [...options],
});

/** A snapshotter of the daemon, spoken over the wire: the contract is {@link Snapshotter}'s. */
export function remoteSnapshotter(connection: Connection, name: string): Snapshotter {
  const service = connection.service(SnapshotsService);
  const on = (ctx: Context) => connection.context(ctx);
  const snapshotter = name;
  return {
    name,
    async stat(ctx, key) {
      return fromInfo((await service.stat({ snapshotter, key }, on(ctx))).info);
    },
    async update(ctx, info, fieldPaths) {
      const request = { snapshotter, info: { name: info.name, labels: { ...info.labels } } };
      const mask = fieldPaths === undefined ? {} : { updateMask: { paths: [...fieldPaths] } };
      return fromInfo((await service.update({ ...request, ...mask }, on(ctx))).info);
    },
    async usage(ctx, key) {
      const usage = await service.usage({ snapshotter, key }, on(ctx));
      return { sizeBytes: toSize(usage.size), inodes: toSize(usage.inodes) };
    },
    async mounts(ctx, key) {
      return (await service.mounts({ snapshotter, key }, on(ctx))).mounts.map(fromMount);
    },
    async prepare(ctx, key, parent, labels) {
      const request = { snapshotter, key, parent, labels: { ...labels } };
      return (await service.prepare(request, on(ctx))).mounts.map(fromMount);
    },
    async view(ctx, key, parent, labels) {
      const request = { snapshotter, key, parent, labels: { ...labels } };
      return (await service.view(request, on(ctx))).mounts.map(fromMount);
    },
    async commit(ctx, committedName, key, labels, options) {
      const parent = options?.parent ?? '';
      const request = { snapshotter, name: committedName, key, labels: { ...labels }, parent };
      await service.commit(request, on(ctx));
    },
    async remove(ctx, key) {
      await service.remove({ snapshotter, key }, on(ctx));
    },
    async list(ctx, filters = []) {
      const found: SnapshotInfo[] = [];
      for await (const page of service.list({ snapshotter, filters: [...filters] }, on(ctx))) {
        for (const info of page.info) found.push(fromInfo(info));
      }
      return found;
    },
    async cleanup(ctx) {
      await service.cleanup({ snapshotter }, on(ctx));
    },
  };
}
