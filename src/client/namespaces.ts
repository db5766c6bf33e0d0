import { Namespaces as NamespacesService } from '../gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import type { Namespace } from '../metadata/namespace-store.ts';
import type { CallOptions, Connection } from './connection.ts';

type Labels = Readonly<Record<string, string>>;

/** Namespaces keep the images, containers and leases of different users of one daemon apart. */
export interface Namespaces {
  /** Labels of a namespace; empty for one that was never created. */
  labels(name: string, options?: CallOptions): Promise<Labels>;
  list(options?: CallOptions): Promise<Namespace[]>;
  /** @throws already_exists, invalid_argument */
  create(name: string, labels?: Labels, options?: CallOptions): Promise<Namespace>;
  /** Sets labels; an empty value removes one. @throws not_found */
  label(name: string, labels: Labels, options?: CallOptions): Promise<Namespace>;
  /** @throws not_found, failed_precondition (not empty) */
  delete(name: string, options?: CallOptions): Promise<void>;
}

const fromWire = (name: string, wire: { name: string; labels: Labels } | undefined): Namespace => ({
  name: wire?.name ?? name,
  labels: { ...wire?.labels },
});

/** The namespaces of the daemon. */
export function remoteNamespaces(connection: Connection): Namespaces {
  const service = connection.service(NamespacesService);
  return {
    async labels(name, options) {
      const response = await service.get({ name }, connection.unary(options));
      return { ...response.namespace?.labels };
    },
    async list(options) {
      const response = await service.list({ filter: '' }, connection.unary(options));
      return response.namespaces.map((wire) => fromWire(wire.name, wire));
    },
    async create(name, labels = {}, options) {
      const response = await service.create(
        { namespace: { name, labels: { ...labels } } },
        connection.unary(options),
      );
      return fromWire(name, response.namespace);
    },
    async label(name, labels, options) {
      const updateMask = { paths: Object.keys(labels).map((key) => `labels.${key}`) };
      const namespace = { name, labels: { ...labels } };
      const response = await service.update({ namespace, updateMask }, connection.unary(options));
      return fromWire(name, response.namespace);
    },
    async delete(name, options) {
      await service.delete({ name }, connection.unary(options));
    },
  };
}
