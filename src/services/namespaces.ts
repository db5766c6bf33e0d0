import { compileFilters } from '../events/filters.ts';
import { Namespaces } from '../gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import type { Namespace, NamespaceStore } from '../metadata/namespace-store.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { given } from './wire.ts';

/** The Namespaces service. Get of an absent one succeeds with no labels: clients depend on it. */
export function namespacesService(store: NamespaceStore): ServiceBinding {
  return bindService(Namespaces, {
    async get({ name }, ctx) {
      return { namespace: { name, labels: { ...(await store.labels(ctx, name)) } } };
    },
    async list({ filter }, ctx) {
      const matches = compileFilters([filter]);
      const found = (await store.list(ctx)).filter((namespace) => matches(fieldsOf(namespace)));
      return { namespaces: found.map(toWire) };
    },
    async create({ namespace }, ctx) {
      return { namespace: toWire(await store.create(ctx, given(namespace, 'namespace'))) };
    },
    async update({ namespace, updateMask }, ctx) {
      return { namespace: toWire(await store.update(ctx, given(namespace, 'namespace'), updateMask?.paths)) };
    },
    async delete({ name }, ctx) {
      await store.delete(ctx, name);
      return {};
    },
  });
}

const fieldsOf =
  ({ name, labels }: Namespace) =>
  ([first, ...rest]: readonly string[]): string | undefined =>
    first === 'name' ? name : first === 'labels' ? labels[rest.join('.')] : undefined;

const toWire = ({ name, labels }: Namespace) => ({ name, labels: { ...labels } });
