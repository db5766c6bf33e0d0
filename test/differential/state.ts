import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Content } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { Images } from '../../src/gen/containerd/services/images/v1/images_pb.ts';
import { Leases } from '../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import { Namespaces } from '../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Snapshots } from '../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { normalise } from './normalise.ts';
import type { Methods, Side } from './sides.ts';
import { namesOf } from './world.ts';

/** Everything recorded on one side, by `namespace kind name`. */
export async function stateOf(side: Side): Promise<Map<string, string>> {
  const state = new Map<string, string>();
  const add = (namespace: string, kind: string, records: unknown) => {
    for (const record of records as readonly object[])
      state.set(`${namespace} ${kind} ${nameOf(record)}`, JSON.stringify(normalise(record, side)));
  };
  const namespaces = fieldOf(await side.methods(Namespaces).list?.({}), 'namespaces');
  // A call that fails may leave the namespace it named behind in containerd.
  const labelled = (namespaces as { labels: object }[]).filter(
    ({ labels }) => Object.keys(labels).length > 0,
  );
  add('', 'namespace', labelled);
  for (const namespace of namesOf('namespace')) {
    const options = { namespace };
    add(namespace, 'container', fieldOf(await side.methods(Containers).list?.({}, options), 'containers'));
    add(namespace, 'image', fieldOf(await side.methods(Images).list?.({}, options), 'images'));
    add(namespace, 'lease', fieldOf(await side.methods(Leases).list?.({}, options), 'leases'));
    const statuses = fieldOf(await side.methods(Content).listStatuses?.({}, options), 'statuses');
    add(
      namespace,
      'ingest',
      (statuses as { ref: string }[]).map(({ ref }) => ({ id: ref })),
    );
    for (const info of await infos(side.methods(Content).list, {}, options)) add(namespace, 'blob', info);
    for (const snapshotter of ['overlayfs', 'native'])
      for (const info of await infos(side.methods(Snapshots).list, { snapshotter }, options))
        add(namespace, snapshotter, info);
  }
  return state;
}

/** What a list that comes in pieces holds. */
async function infos(
  list: Methods[string] | undefined,
  request: object,
  options: object,
): Promise<unknown[]> {
  const pieces = (await Array.fromAsync((list?.(request, options) ?? []) as AsyncIterable<unknown>)) as {
    info: unknown;
  }[];
  return pieces.map(({ info }) => info);
}

/** What one side has and the other has not, or has otherwise. */
export function partsOf(berth: Map<string, string>, containerd: Map<string, string>): string[] {
  const names = new Set([...berth.keys(), ...containerd.keys()]);
  return [...names]
    .filter((name) => berth.get(name) !== containerd.get(name))
    .map(
      (name) =>
        `${name}: ${berth.get(name) ?? 'not'} in Berth, ${containerd.get(name) ?? 'not'} in containerd`,
    );
}

const fieldOf = (message: unknown, name: string): unknown => (message as Record<string, unknown>)[name];

function nameOf(record: object): string {
  const { id, name, digest } = record as { id?: string; name?: string; digest?: string };
  return id ?? name ?? digest ?? '';
}
