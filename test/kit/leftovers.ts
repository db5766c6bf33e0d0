import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Rows, readRows } from './checker.ts';
import { commandOf, mountsBelow, processesOf } from './daemon.ts';

/**
 * What nothing refers to any more and is still there: I4 ("garbage is gone after two GCs") and I5 of security.md §2.3.
 * A line for each. To be asked when no client is at work, after two collections. `namespaces`: all that were used; no
 * other daemon may use their names, because cgroups carry them.
 */
export function leftovers(root: string, state: string, namespaces: readonly string[]): string[] {
  const rows = readRows(join(root, 'metadata.db'));
  const containers = new Set(rows.containers.map(({ namespace, id }) => `${namespace}/${id}`));
  const tasks = twoDeep(join(state, 'io.containerd.runtime.v2.task'));
  return [
    ...garbage(rows),
    ...tasks
      .filter((task) => !containers.has(task))
      .map((task) => `I5: bundle of ${task}, which is no container`),
    ...tasks.filter((task) => !hasRecord(state, task)).map((task) => `I5: bundle of ${task} has no task`),
    ...strays('runtime state', twoDeep(join(state, 'runc')), tasks),
    ...strays('logs', twoDeep(join(root, 'logs')), [...containers]),
    ...strays('cgroup', cgroups(namespaces), tasks),
    ...stackedMounts(state),
    ...fifos(state, containers),
    ...processes(root, state, tasks),
    ...trash(root),
    ...unknownNames(root, state),
  ];
}

/** Blobs, snapshots and ingests that no root reaches. */
function garbage(rows: Rows): string[] {
  const live = reach(rows);
  const all = [
    ...rows.blobs.map((b) => `content ${b.namespace} ${b.digest}`),
    ...rows.snapshots.map((s) => `snapshot ${s.namespace} ${s.snapshotter}/${s.name}`),
    // What a broken pull has fetched waits for its resumption until it expires.
    ...rows.ingests
      .filter((i) => (i.expires_at ?? 0) < Date.now())
      .map((i) => `ingest ${i.namespace} ${i.ref}`),
  ];
  return all.filter((node) => !live.has(node)).map((node) => `I4: garbage is left: ${node}`);
}

function reach(rows: Rows): Set<string> {
  const edges = new Map<string, string[]>();
  const roots: string[] = [];
  const name = new Map(rows.snapshots.map((s) => [s.id, s.name]));
  for (const { namespace, digest, labels } of rows.blobs)
    edges.set(`content ${namespace} ${digest}`, labelled(namespace, labels));
  for (const s of rows.snapshots) {
    const parent =
      s.parent === null ? [] : [`snapshot ${s.namespace} ${s.snapshotter}/${name.get(s.parent)}`];
    edges.set(`snapshot ${s.namespace} ${s.snapshotter}/${s.name}`, [
      ...parent,
      ...labelled(s.namespace, s.labels),
    ]);
  }
  for (const { namespace, digest } of rows.images) roots.push(`content ${namespace} ${digest}`);
  for (const c of rows.containers) roots.push(`snapshot ${c.namespace} ${c.snapshotter}/${c.snapshot_key}`);
  for (const { namespace, type, id } of rows.leased) {
    const kind = type.startsWith('snapshots/') ? 'snapshot' : type === 'ingests' ? 'ingest' : 'content';
    const path = kind === 'snapshot' ? `${type.slice('snapshots/'.length)}/${id}` : id;
    roots.push(`${kind} ${namespace} ${path}`);
  }
  const seen = new Set<string>();
  for (let node = roots.pop(); node !== undefined; node = roots.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    roots.push(...(edges.get(node) ?? []));
  }
  return seen;
}

function labelled(namespace: string, json: string): string[] {
  return Object.entries(JSON.parse(json) as Record<string, string>).flatMap(([key, value]) => {
    const snapshotter = /^containerd\.io\/gc\.ref\.snapshot\.([^/]+)/.exec(key)?.[1];
    if (snapshotter !== undefined) return [`snapshot ${namespace} ${snapshotter}/${value}`];
    return key.startsWith('containerd.io/gc.ref.content') ? [`content ${namespace} ${value}`] : [];
  });
}

const strays = (what: string, found: readonly string[], known: readonly string[]): string[] =>
  found.filter((one) => !known.includes(one)).map((one) => `I5: ${what} of ${one} is left`);

const hasRecord = (state: string, task: string): boolean =>
  ['shim.json', 'foreign-shim.json'].some((name) =>
    existsSync(join(state, 'io.containerd.runtime.v2.task', task, name)),
  );

const list = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** `<namespace>/<id>` of directories two levels down. */
const twoDeep = (dir: string): string[] =>
  list(dir).flatMap((namespace) => list(join(dir, namespace)).map((id) => `${namespace}/${id}`));

/** `<namespace>/<id>` of every cgroup, in every hierarchy. */
const cgroups = (namespaces: readonly string[]): string[] => [
  ...new Set(cgroupDirs(namespaces).flatMap((dir) => directories(dir).map((id) => `${basename(dir)}/${id}`))),
];

/** The cgroups that hold those of containers, in every hierarchy. */
function cgroupDirs(namespaces: readonly string[]): string[] {
  const top = '/sys/fs/cgroup';
  const hierarchies = [top, ...directories(top).map((name) => join(top, name))];
  return hierarchies
    .flatMap((hierarchy) => namespaces.map((namespace) => join(hierarchy, namespace)))
    .filter(existsSync);
}

/** Removes the cgroups of containers that were killed from outside. Best effort. */
export function removeCgroups(namespaces: readonly string[]): void {
  for (const dir of cgroupDirs(namespaces)) {
    for (const path of [...directories(dir).map((id) => join(dir, id)), dir]) {
      try {
        rmdirSync(path);
      } catch {
        // Somebody is in it.
      }
    }
  }
}

const directories = (dir: string): string[] =>
  existsSync(dir)
    ? readdirSync(dir, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    : [];

/** No root may be mounted twice on the same place. */
function stackedMounts(state: string): string[] {
  const points = mountsBelow(state);
  return points
    .filter((point, i) => points.indexOf(point) !== i)
    .map((point) => `I5: ${point} is mounted more than once`);
}

/** FIFO directories belong to a container. */
function fifos(state: string, containers: ReadonlySet<string>): string[] {
  return list(join(state, 'fifo')).flatMap((name) => {
    const owner = join(state, 'fifo', name, 'owner');
    if (!existsSync(owner)) return [`I5: fifo directory ${name} is nobody's`];
    const { namespace, containerId } = JSON.parse(readFileSync(owner, 'utf8')) as Record<string, string>;
    return containers.has(`${namespace}/${containerId}`)
      ? []
      : [`I5: fifos of ${namespace}/${containerId} are left`];
  });
}

/** One daemon, one shim, and processes in cgroups of tasks; a runtime that still runs is none of them. */
function processes(root: string, state: string, tasks: readonly string[]): string[] {
  const names = processesOf(state).flatMap((pid) => {
    const command = commandOf(pid);
    if (command === '') return [];
    return [{ pid, command, cgroup: read(`/proc/${pid}/cgroup`) }];
  });
  const isShim = (command: string) => /berth-shim|shim\/main\.[jt]s/.test(command);
  const isHolder = (command: string) => command === 'sleep 2147483647';
  const holders = names.filter(({ command }) => isHolder(command));
  const shims = names.filter(({ command }) => isShim(command));
  const others = names.filter(
    ({ command, cgroup }) =>
      !isShim(command) &&
      !isHolder(command) &&
      !command.includes(`--root ${root}`) &&
      !/berthd|daemon\/main/.test(command) &&
      !tasks.some((task) => cgroup.includes(`/${task}`)),
  );
  return [
    ...(shims.length > 1 ? [`I5: ${shims.length} shims run: ${JSON.stringify(shims)}`] : []),
    ...(holders.length > 1 ? [`I5: ${holders.length} holders of descriptors run`] : []),
    ...others.map(({ pid, command }) => `I5: process ${pid} is left: ${command.slice(0, 200)}`),
  ];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** What a snapshotter is removing is gone soon. */
const trash = (root: string): string[] =>
  list(join(root, 'snapshots')).flatMap((snapshotter) =>
    list(join(root, 'snapshots', snapshotter, 'trash')).map(
      (name) => `I5: ${snapshotter} has not removed ${name}`,
    ),
  );

/** Everything in root and state has a name that is known here. */
function unknownNames(root: string, state: string): string[] {
  const rootNames = /^(content|opt|snapshots|logs|checkpoints|metadata\.db(-wal|-shm)?|uuid|berthd\.lock)$/;
  const stateNames =
    /^(berth\.sock(\.ttrpc)?|berthd\.lock|fifo|layers|mounts|tmp|s|runc|io\.containerd\.(runtime\.v2\.task|sandbox\.controller\.v1\.shim))$/;
  const shimNames = /^(shim\.lock|shim\.log|holder|events|[0-9a-f]{16})$/;
  const odd = (dir: string, known: RegExp) =>
    list(dir)
      .filter((name) => !known.test(name))
      .map((name) => `I5: nobody knows ${join(dir, name)}`);
  return [...odd(root, rootNames), ...odd(state, stateNames), ...odd(join(state, 's'), shimNames)];
}
