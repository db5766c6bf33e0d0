import { Leases } from '../gen/containerd/services/leases/v1/leases_pb.ts';
import type { Lease, LeaseStore } from '../metadata/lease-store.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { given, toTimestamp } from './wire.ts';

/** The Leases service. */
export function leasesService(store: LeaseStore): ServiceBinding {
  return bindService(Leases, {
    async create({ id, labels }, ctx) {
      return { lease: toWire(await store.create(ctx, { id, labels })) };
    },
    async delete({ id, sync }, ctx) {
      await store.delete(ctx, id, { sync });
      return {};
    },
    async list({ filters }, ctx) {
      return { leases: (await store.list(ctx, filters)).map(toWire) };
    },
    async addResource({ id, resource }, ctx) {
      await store.addResource(ctx, id, given(resource, 'resource'));
      return {};
    },
    async deleteResource({ id, resource }, ctx) {
      await store.deleteResource(ctx, id, given(resource, 'resource'));
      return {};
    },
    async listResources({ id }, ctx) {
      return { resources: (await store.listResources(ctx, id)).map(({ id, type }) => ({ id, type })) };
    },
  });
}

const toWire = ({ id, createdAt, labels }: Lease) => ({
  id,
  createdAt: toTimestamp(createdAt),
  labels: { ...labels },
});
