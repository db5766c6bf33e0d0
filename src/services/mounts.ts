import { notImplemented } from '../errors/error.ts';
import { Mounts } from '../gen/containerd/services/mounts/v1/mounts_pb.ts';
import type { Activation, Activations } from '../mounts/activations.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { mountsToWire } from './mount-wire.ts';
import { toTimestamp } from './wire.ts';

/** The Mounts service. Update is not implemented, as in containerd. */
export function mountsService(activations: Activations): ServiceBinding {
  return bindService(Mounts, {
    async activate({ name, mounts, labels, temporary }, ctx) {
      return { info: toWire(await activations.activate(ctx, name, mounts, { labels, temporary })) };
    },
    async deactivate({ name }, ctx) {
      await activations.deactivate(ctx, name);
      return {};
    },
    async info({ name }, ctx) {
      return { info: toWire(await activations.info(ctx, name)) };
    },
    async update() {
      throw notImplemented('not implemented');
    },
    async *list({ filters }, ctx) {
      for (const activation of await activations.list(ctx, filters)) yield { info: toWire(activation) };
    },
  });
}

const toWire = ({ name, active, system, labels }: Activation) => ({
  name,
  active: active.map((mount) => ({
    mount: mountsToWire([mount])[0],
    mountPoint: mount.mountPoint,
    mountedAt: toTimestamp(mount.mountedAt),
  })),
  system: mountsToWire(system),
  labels: { ...labels },
});
