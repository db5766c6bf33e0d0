import { invalidArgument } from '../errors/error.ts';
import { Kind, Snapshots } from '../gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { SnapshotInfo, SnapshotKind, Snapshotter } from '../snapshots/snapshotter.ts';
import { mountsToWire } from './mount-wire.ts';
import { toTimestamp } from './wire.ts';

/** Snapshots in one message of List, as many as containerd sends. */
const listChunk = 100;

/** The Snapshots service over every snapshotter by name. @throws invalid_argument for a name that is not there */
export function snapshotsService(snapshotters: ReadonlyMap<string, Snapshotter>): ServiceBinding {
  const find = (name: string) => findSnapshotter(snapshotters, name);
  return bindService(Snapshots, {
    async prepare({ snapshotter, key, parent, labels }, ctx) {
      return { mounts: mountsToWire(await find(snapshotter).prepare(ctx, key, parent, labels)) };
    },
    async view({ snapshotter, key, parent, labels }, ctx) {
      return { mounts: mountsToWire(await find(snapshotter).view(ctx, key, parent, labels)) };
    },
    async mounts({ snapshotter, key }, ctx) {
      return { mounts: mountsToWire(await find(snapshotter).mounts(ctx, key)) };
    },
    async commit({ snapshotter, name, key, labels, parent }, ctx) {
      await find(snapshotter).commit(ctx, name, key, labels, parent === '' ? {} : { parent });
      return {};
    },
    async remove({ snapshotter, key }, ctx) {
      await find(snapshotter).remove(ctx, key);
      return {};
    },
    async stat({ snapshotter, key }, ctx) {
      return { info: infoToWire(await find(snapshotter).stat(ctx, key)) };
    },
    async update({ snapshotter, info, updateMask }, ctx) {
      if (info === undefined) throw invalidArgument('info must be set: invalid argument');
      const { name, labels } = info;
      return { info: infoToWire(await find(snapshotter).update(ctx, { name, labels }, updateMask?.paths)) };
    },
    async *list({ snapshotter, filters }, ctx) {
      const infos = await find(snapshotter).list(ctx, filters);
      for (let at = 0; at < infos.length; at += listChunk)
        yield { info: infos.slice(at, at + listChunk).map(infoToWire) };
    },
    async usage({ snapshotter, key }, ctx) {
      const { sizeBytes, inodes } = await find(snapshotter).usage(ctx, key);
      return { size: BigInt(sizeBytes), inodes: BigInt(inodes) };
    },
    async cleanup({ snapshotter }, ctx) {
      await find(snapshotter).cleanup(ctx);
      return {};
    },
  });
}

function findSnapshotter(snapshotters: ReadonlyMap<string, Snapshotter>, name: string): Snapshotter {
  if (name === '') throw invalidArgument('snapshotter argument missing: invalid argument');
  const found = snapshotters.get(name);
  if (found === undefined) throw invalidArgument(`snapshotter not loaded: ${name}: invalid argument`);
  return found;
}

const kinds = {
  view: Kind.VIEW,
  active: Kind.ACTIVE,
  committed: Kind.COMMITTED,
} as const satisfies Record<SnapshotKind, Kind>;

const infoToWire = ({ name, parent, kind, createdAt, updatedAt, labels }: SnapshotInfo) => ({
  name,
  parent,
  kind: kinds[kind],
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
  labels: { ...labels },
});
