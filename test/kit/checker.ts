import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, messageOf } from '../../src/errors/error.ts';
import { commandOf, mountsBelow, processesOf } from './daemon.ts';
import { patienceMs } from './until.ts';

/** What the database says, read by ourselves: no code of the daemon has a part in the verdict. */
export interface Rows {
  readonly blobs: { namespace: string; digest: string; size: number; labels: string }[];
  readonly ingests: {
    namespace: string;
    ref: string;
    key: string;
    shared: string | null;
    expires_at: number | null;
  }[];
  readonly images: { namespace: string; name: string; digest: string }[];
  readonly snapshots: {
    id: number;
    namespace: string;
    snapshotter: string;
    name: string;
    parent: number | null;
    kind: string;
    state: string;
    labels: string;
  }[];
  readonly containers: { namespace: string; id: string; snapshotter: string; snapshot_key: string }[];
  readonly leases: { namespace: string; id: string }[];
  readonly leased: { namespace: string; lease: string; type: string; id: string }[];
}

/**
 * Holds what is on disk, in the database, the mount table and /proc of a data root against the invariants I1–I5 of
 * security.md §2.3. Returns a line for each violation. The daemon may be running, but must be at rest.
 */
export function violations(root: string, state: string): string[] {
  try {
    return violationsOf(root, state, readRows(join(root, 'metadata.db')));
  } catch (error) {
    // A collection takes files away between the look at a directory and that at a file in it.
    if (codeOf(error) !== 'ENOENT') throw error;
    return [`not at rest: ${messageOf(error)}`];
  }
}

function violationsOf(root: string, state: string, rows: Rows): string[] {
  return [
    ...checkBlobs(root, rows),
    ...checkIngests(root, rows),
    ...checkImages(rows),
    ...checkSnapshots(root, rows),
    ...checkLayers(root, state, rows),
    ...checkContainers(rows),
    ...checkTasks(state, rows),
  ];
}

/** @throws when the database is damaged */
export function readRows(path: string): Rows {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const check = Object.values(db.prepare('PRAGMA integrity_check').get() ?? {})[0];
    if (check !== 'ok') throw new Error(`integrity_check: ${check}`);
    const all = (table: string): never[] => db.prepare(`SELECT * FROM ${table}`).all() as never[];
    return {
      blobs: all('blobs'),
      ingests: all('ingests'),
      images: all('images'),
      snapshots: all('snapshots'),
      containers: all('containers'),
      leases: all('leases'),
      leased: all('lease_resources'),
    };
  } finally {
    db.close();
  }
}

/**
 * I2, I3: a blob is there exactly when its hash matches; every row has its bytes, all bytes have a row. That may be the one of an
 * ingest that a blob of another namespace stands in for: its client was killed, and may go on until it expires.
 */
function checkBlobs(root: string, rows: Rows): string[] {
  const found: string[] = [];
  const known = new Set([...rows.blobs.map((b) => b.digest), ...rows.ingests.map((i) => i.shared)]);
  for (const algorithm of ['sha256', 'sha512']) {
    const dir = join(root, 'content/blobs', algorithm);
    for (const hex of existsSync(dir) ? readdirSync(dir) : []) {
      const sum = createHash(algorithm)
        .update(readFileSync(join(dir, hex)))
        .digest('hex');
      if (sum !== hex) found.push(`I2: blob ${algorithm}:${hex} holds other bytes (${sum})`);
      if (!known.has(`${algorithm}:${hex}`)) found.push(`I3: blob ${algorithm}:${hex} has no row`);
    }
  }
  for (const { namespace, digest, size } of rows.blobs) {
    const path = join(root, 'content/blobs', digest.replace(':', '/'));
    if (!existsSync(path)) found.push(`I3: row of blob ${digest} in ${namespace} has no bytes`);
    else if (statSync(path).size !== size)
      found.push(`I3: blob ${digest} has ${statSync(path).size} bytes, its row says ${size}`);
  }
  return found;
}

/** I5: no ingest without a row. */
function checkIngests(root: string, rows: Rows): string[] {
  const known = new Set(rows.ingests.map((i) => i.key));
  const dir = join(root, 'content/ingest');
  return (existsSync(dir) ? readdirSync(dir) : [])
    .filter((key) => !known.has(key))
    .map((key) => `I5: ingest ${key} has no row`);
}

/** I3, I4: an image's target and all that its gc.ref labels name are there. */
function checkImages(rows: Rows): string[] {
  const found: string[] = [];
  const blobs = new Map(rows.blobs.map((b) => [`${b.namespace} ${b.digest}`, b]));
  const snapshots = new Set(rows.snapshots.map((s) => `${s.namespace} ${s.snapshotter} ${s.name}`));
  for (const image of rows.images) {
    const seen = new Set<string>();
    const visit = (digest: string, from: string): void => {
      if (seen.has(digest)) return;
      seen.add(digest);
      const blob = blobs.get(`${image.namespace} ${digest}`);
      if (!blob) {
        // Manifests of platforms that were not asked for are not here: only the target itself must be.
        if (from === 'target')
          found.push(`I3: image ${image.name} in ${image.namespace} points at ${digest}, which is missing`);
        return;
      }
      for (const [key, value] of Object.entries(JSON.parse(blob.labels) as Record<string, string>)) {
        if (key.startsWith('containerd.io/gc.ref.content')) visit(value, key);
        const snapshotter = /^containerd\.io\/gc\.ref\.snapshot\.([^/]+)/.exec(key)?.[1];
        if (snapshotter && !snapshots.has(`${image.namespace} ${snapshotter} ${value}`))
          found.push(`I4: ${digest} of image ${image.name} names snapshot ${value}, which is missing`);
      }
    };
    visit(image.digest, 'target');
  }
  return found;
}

/** I2, I5: rows and directories of snapshots are the same set, chains are complete and committed. */
function checkSnapshots(root: string, rows: Rows): string[] {
  const found: string[] = [];
  const byId = new Map(rows.snapshots.map((s) => [s.id, s]));
  for (const snapshot of rows.snapshots) {
    const parent = snapshot.parent === null ? undefined : byId.get(snapshot.parent);
    if (snapshot.state !== 'ready')
      found.push(`I2: snapshot ${snapshot.name} (${snapshot.id}) is still ${snapshot.state}`);
    if (snapshot.parent !== null && !parent)
      found.push(`I2: the parent of snapshot ${snapshot.name} is missing`);
    if (parent && parent.kind !== 'committed')
      found.push(`I2: snapshot ${snapshot.name} stands on ${parent.name}, which is not committed`);
    if (!existsSync(bodyOf(root, snapshot)))
      found.push(`I3: snapshot ${snapshot.name} (${snapshot.id}) has no directory`);
  }
  for (const snapshotter of readdirSync(join(root, 'snapshots'))) {
    const dir = snapshotDirectory(root, snapshotter);
    for (const name of existsSync(dir) ? readdirSync(dir) : []) {
      if (!byId.has(Number(name))) found.push(`I5: ${join(dir, name)} belongs to no snapshot`);
    }
  }
  return found;
}

const snapshotDirectory = (root: string, snapshotter: string): string =>
  join(root, 'snapshots', snapshotter, 'snapshots');

/** What must be there of a snapshot: its files, as a directory or a layer file; a view on others has none. */
function bodyOf(root: string, { id, snapshotter, kind, parent }: Rows['snapshots'][number]): string {
  const directory = join(snapshotDirectory(root, snapshotter), String(id));
  const layer = join(directory, 'layer.erofs');
  if (kind === 'view' && parent !== null) return directory;
  return kind === 'committed' && existsSync(layer) ? layer : join(directory, 'fs');
}

/** I2: layer files are whole, and those that active snapshots and views stand on are mounted. */
function checkLayers(root: string, state: string, rows: Rows): string[] {
  const found: string[] = [];
  const byId = new Map(rows.snapshots.map((s) => [s.id, s]));
  const file = (s: Rows['snapshots'][number]) =>
    join(snapshotDirectory(root, s.snapshotter), String(s.id), 'layer.erofs');
  const mounted = new Set(mountsBelow(join(state, 'layers')).map((point) => Number(basename(point))));
  for (const snapshot of rows.snapshots) {
    if (existsSync(file(snapshot)) && !isWhole(file(snapshot)))
      found.push(`I2: layer file of snapshot ${snapshot.name} (${snapshot.id}) is not whole`);
    if (snapshot.kind === 'committed') continue;
    for (let id = snapshot.parent; id !== null; id = byId.get(id)?.parent ?? null) {
      const beneath = byId.get(id);
      if (beneath && existsSync(file(beneath)) && !mounted.has(id))
        found.push(`I2: layer ${id} is not mounted, but ${snapshot.name} stands on it`);
    }
  }
  return found;
}

function headOf(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(1152);
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** An EROFS image of the size that its superblock says. */
function isWhole(path: string): boolean {
  const block = headOf(path).subarray(1024);
  return (
    block.length === 128 &&
    block.readUInt32LE(0) === 0xe0f5e1e2 &&
    statSync(path).size >= block.readUInt32LE(36) * 2 ** block.readUInt8(12)
  );
}

/** I4: what a container stands on is there. */
function checkContainers(rows: Rows): string[] {
  const snapshots = new Set(rows.snapshots.map((s) => `${s.namespace} ${s.snapshotter} ${s.name}`));
  return rows.containers
    .filter(
      (c) => c.snapshot_key !== '' && !snapshots.has(`${c.namespace} ${c.snapshotter} ${c.snapshot_key}`),
    )
    .map((c) => `I4: container ${c.id} in ${c.namespace} has lost its snapshot ${c.snapshot_key}`);
}

/** I5: every mount, process and cgroup below the state directory belongs to a bundle. */
function checkTasks(state: string, rows: Rows): string[] {
  const tasks = join(state, 'io.containerd.runtime.v2.task');
  const bundles = (existsSync(tasks) ? readdirSync(tasks) : []).flatMap((ns) =>
    readdirSync(join(tasks, ns)).map((id) => join(tasks, ns, id)),
  );
  const ids = new Set(rows.snapshots.map(({ id }) => id));
  const isLayer = (point: string) =>
    dirname(point) === join(state, 'layers') && ids.has(Number.parseInt(basename(point), 10));
  const stray = mountsBelow(state).filter(
    (point) => !isLayer(point) && !bundles.some((bundle) => point.startsWith(`${bundle}/`)),
  );
  const temp = (existsSync(join(state, 'tmp')) ? readdirSync(join(state, 'tmp')) : []).filter(
    (name) => !isOfLivingDaemon(join(state, 'tmp'), name),
  );
  return [
    ...stray.map((point) => `I5: stray mount ${point}`),
    ...temp.map((name) => `I5: left-over ${join(state, 'tmp', name)}`),
  ];
}

/** A daemon keeps one empty directory, named for its pid, for mounts of a moment. */
function isOfLivingDaemon(dir: string, name: string): boolean {
  const pid = /^containers-(\d+)-/.exec(name)?.[1];
  return pid !== undefined && existsSync(`/proc/${pid}`) && readdirSync(join(dir, name)).length === 0;
}

/** Processes of containers whose root file system is below `dir` (the daemon and its shim are not among them). */
export function containerProcesses(dir: string): number[] {
  return processesOf(dir).filter((pid) => !/(daemon|shim)\/main\.[jt]s/.test(commandOf(pid)));
}

/** {@link violations} once the daemon has come to rest: garbage goes a moment after its rows. */
export async function violationsAtRest(root: string, state: string): Promise<string[]> {
  for (const endMs = Date.now() + patienceMs; ; ) {
    const found = violations(root, state);
    if (found.length === 0 || Date.now() > endMs) return found;
    await sleep(100);
  }
}
