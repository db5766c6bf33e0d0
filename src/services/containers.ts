import { invalidArgument } from '../errors/error.ts';
import {
  Containers,
  type Container as Wire,
} from '../gen/containerd/services/containers/v1/containers_pb.ts';
import type { ContainerStore, NewContainer } from '../metadata/container-store.ts';
import { wireOf } from '../metadata/container-wire.ts';
import { EncodedMessage } from '../rpc/encoded-message.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';

/** The Containers service. Spec, options and extensions pass through byte for byte. */
export function containersService(store: ContainerStore): ServiceBinding {
  return bindService(Containers, {
    async get({ id }, ctx) {
      return new EncodedMessage([await store.getEncoded(ctx, id)]);
    },
    async list({ filters }, ctx) {
      const pages = await Array.fromAsync(store.walkEncoded(ctx, filters));
      return new EncodedMessage(pages.flat());
    },
    async *listStream({ filters }, ctx) {
      for await (const page of store.walkEncoded(ctx, filters))
        yield page.map((bytes) => new EncodedMessage([bytes]));
    },
    async create({ container }, ctx) {
      return new EncodedMessage([wireOf(await store.create(ctx, fromWire(container)))]);
    },
    async update({ container, updateMask }, ctx) {
      if (!container?.id) throw invalidArgument('Container.ID required');
      return new EncodedMessage([wireOf(await store.update(ctx, fromWire(container), updateMask?.paths))]);
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
