import {
  Leases as LeasesService,
  type Lease as WireLease,
} from '../gen/containerd/services/leases/v1/leases_pb.ts';
import type { Lease, LeaseResource } from '../metadata/lease-store.ts';
import { labelNames } from '../oci/label-names.ts';
import type { CallOptions, Connection } from './connection.ts';
import { toDate } from './convert.ts';

type Labels = Readonly<Record<string, string>>;

/** Leases keep what they hold from garbage collection until they are deleted or expire. */
export interface Leases {
  /**
   * `expiresInMs` sets the label `containerd.io/gc.expire`; an empty or absent `id` is made up by the daemon.
   * @throws already_exists
   */
  create(
    lease?: { id?: string; labels?: Labels; expiresInMs?: number },
    options?: CallOptions,
  ): Promise<Lease>;
  /** `sync` waits until garbage collection is done. @throws not_found */
  delete(id: string, options?: CallOptions & { sync?: boolean }): Promise<void>;
  list(filters?: readonly string[], options?: CallOptions): Promise<Lease[]>;
  /** Idempotent. @throws not_found, invalid_argument */
  addResource(id: string, resource: LeaseResource, options?: CallOptions): Promise<void>;
  deleteResource(id: string, resource: LeaseResource, options?: CallOptions): Promise<void>;
  /** @throws not_found */
  listResources(id: string, options?: CallOptions): Promise<LeaseResource[]>;
}

const fromWire = (wire: WireLease | undefined): Lease => ({
  id: wire?.id ?? '',
  createdAt: toDate(wire?.createdAt),
  labels: { ...wire?.labels },
});

const expiry = (expiresInMs: number | undefined): Record<string, string> =>
  expiresInMs === undefined ? {} : { [labelNames.expire]: new Date(Date.now() + expiresInMs).toISOString() };

/** The leases of the connection's namespace. */
export function remoteLeases(connection: Connection): Leases {
  const service = connection.service(LeasesService);
  return {
    async create(lease = {}, options) {
      const labels = { ...lease.labels, ...expiry(lease.expiresInMs) };
      const response = await service.create({ id: lease.id ?? '', labels }, connection.unary(options));
      return fromWire(response.lease);
    },
    async delete(id, options) {
      await service.delete({ id, sync: options?.sync ?? false }, connection.unary(options));
    },
    async list(filters = [], options) {
      const response = await service.list({ filters: [...filters] }, connection.unary(options));
      return response.leases.map(fromWire);
    },
    async addResource(id, resource, options) {
      await service.addResource({ id, resource }, connection.unary(options));
    },
    async deleteResource(id, resource, options) {
      await service.deleteResource({ id, resource }, connection.unary(options));
    },
    async listResources(id, options) {
      const response = await service.listResources({ id }, connection.unary(options));
      return response.resources.map(({ id: name, type }) => ({ id: name, type }));
    },
  };
}
