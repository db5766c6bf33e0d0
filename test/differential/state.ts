import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Content } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { Images } from '../../src/gen/containerd/services/images/v1/images_pb.ts';
import { Leases } from '../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import { Mounts } from '../../src/gen/containerd/services/mounts/v1/mounts_pb.ts';
import { Namespaces } from '../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Store } from '../../src/gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { Snapshots } from '../../src/gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import { Tasks } from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
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
  add('', 'namespace', fieldOf(await side.methods(Namespaces).list?.({}), 'namespaces'));
  for (const namespace of namesOf('namespace')) {
    const options = { namespace };
    add(namespace, 'container', fieldOf(await side.methods(Containers).list?.({}, options), 'containers'));
    add(namespace, 'image', fieldOf(await side.methods(Images).list?.({}, options), 'images'));
    add(namespace, 'lease', fieldOf(await side.methods(Leases).list?.({}, options), 'leases'));
    add(namespace, 'sandbox', fieldOf(await side.methods(Store).list?.({}, options), 'list'));
    const tasks = fieldOf(await side.methods(Tasks).list?.({}, options), 'tasks') as object[];
    // containerd does not tell it.
    add(
      namespace,
      'task',
      tasks.map((task) => ({ ...task, containerId: '' })),
    );
    add(
      namespace,
      'mount',
      (
        await Array.fromAsync(side.methods(Mounts).list?.({}, options) as AsyncIterable<{ info: unknown }>)
      ).map(({ info }) => ({ ...(info as object), active: typesOf(info) })),
    );
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

/** containerd keeps no more of what was mounted. */
const typesOf = (info: unknown): unknown =>
  (info as { active: readonly { mount?: { type: string } }[] }).active.map(({ mount }) => mount?.type);

const fieldOf = (message: unknown, name: string): unknown => (message as Record<string, unknown>)[name];

function nameOf(record: object): string {
  const { id, sandboxId, name, digest } = record as Readonly<Record<string, string>>;
  return id ?? sandboxId ?? name ?? digest ?? '';
}
