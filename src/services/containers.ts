import { invalidArgument } from '../errors/error.ts';
import {
  Containers,
  type Container as Wire,
} from '../gen/containerd/services/containers/v1/containers_pb.ts';
import type { Container, ContainerStore, NewContainer } from '../metadata/container-store.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { toTimestamp } from './wire.ts';

/** The Containers service. Spec, options and extensions pass through byte for byte. */
export function containersService(store: ContainerStore): ServiceBinding {
  return bindService(Containers, {
    async get({ id }, ctx) {
      return { container: toWire(await store.get(ctx, id)) };
    },
    async list({ filters }, ctx) {
      return { containers: (await store.list(ctx, filters)).map(toWire) };
    },
    async *listStream({ filters }, ctx) {
      for await (const container of store.walk(ctx, filters)) yield { container: toWire(container) };
    },
    async create({ container }, ctx) {
      return { container: toWire(await store.create(ctx, fromWire(container))) };
    },
    async update({ container, updateMask }, ctx) {
      if (!container?.id) throw invalidArgument('Container.ID required');
      return { container: toWire(await store.update(ctx, fromWire(container), updateMask?.paths)) };
    },
    async delete({ id }, ctx) {
      await store.delete(ctx, id);
      return {};
    },
  });
}

function fromWire(wire: Wire | undefined): NewContainer {
  if (!wire) throw invalidArgument('container must be set');
  const { id, labels, image, spec, snapshotter, snapshotKey, extensions } = wire;
  const { name = '', options } = wire.runtime ?? {};
  return {
    id,
    labels,
    image,
    runtime: { name, options },
    spec,
    snapshotter,
    snapshotKey,
    extensions,
    sandboxId: wire.sandbox,
  };
}

const toWire = (container: Container) => ({
  id: container.id,
  labels: { ...container.labels },
  image: container.image,
  runtime: {
    name: container.runtime.name,
    ...(container.runtime.options && { options: toAny(container.runtime.options) }),
  },
  ...(container.spec && { spec: toAny(container.spec) }),
  snapshotter: container.snapshotter,
  snapshotKey: container.snapshotKey,
  createdAt: toTimestamp(container.createdAt),
  updatedAt: toTimestamp(container.updatedAt),
  extensions: Object.fromEntries(Object.entries(container.extensions).map(([key, any]) => [key, toAny(any)])),
  sandbox: container.sandboxId,
});
