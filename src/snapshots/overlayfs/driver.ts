import { existsSync, statSync } from 'node:fs';
import { chown, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLog } from '../../async/context.ts';
import { failedPrecondition, invalidArgument } from '../../errors/error.ts';
import { verifyLayerFile } from '../../layers/erofs/layer-file.ts';
import { withTempMount } from '../../sys/temp-mount.ts';
import type { ApplyTarget } from '../apply-target.ts';
import { diskUsage } from '../disk-usage.ts';
import type { DriverSnapshot, SnapshotDriver } from '../driver.ts';
import { ensureDirectory, ensureDirectoryLike } from '../ensure-directory.ts';
import type { RebuildTarget } from '../rebuild-target.ts';
import type { Mount, SnapshotUsage } from '../snapshotter.ts';
import { Bodies } from './bodies.ts';
import { chownTree } from './chown-tree.ts';
import { readErofsFile } from './erofs-file.ts';
import { type IdMaps, idMapsOf, rootOf } from './id-maps.ts';
import { LayerClaims, writtenDirectory } from './layer-claims.ts';
import { commitDirectory, commitLayer, syncLayer } from './layer-commit.ts';
import { LayerLinks } from './layer-links.ts';
import { LayerMounts } from './layer-mounts.ts';
import { LayerStack } from './layer-stack.ts';
import { type LayerSupport, probeLayers } from './layer-support.ts';
import { MappedMounts } from './mapped-mounts.ts';
import type { OverlayDriverOptions } from './options.ts';
import { overlayMounts } from './overlay-mounts.ts';
import { findOwners, type Owners } from './owners.ts';
import { forgetLimit, limitSnapshot } from './quotas.ts';
import { SnapshotPaths } from './snapshot-paths.ts';

/** containerd's label. */
const upperdirKey = 'containerd.io/snapshot/overlay.upperdir';

/**
 * Snapshots under overlayfs. Each is a directory (`snapshots/<id>/fs` and, while active, `work`), or an EROFS image that is
 * mounted while anything stands on it (`snapshots/<id>/layer.erofs`), or such a directory above such an image. What is
 * being removed lies in `trash/` under a name nobody asks for. Disposing unmounts what nothing stands on.
 * @throws invalid_argument when a path holds a character that overlay options give a meaning (comma, colon, backslash),
 *   failed_precondition when the mode is not possible here
 */
export async function openOverlayDriver(
  options: OverlayDriverOptions,
): Promise<SnapshotDriver & AsyncDisposable> {
  const { root, layers: mounts = join(root, 'layers'), mode = 'auto', slowChown = 'never' } = options;
  for (const path of [root, mounts])
    if (/[,:\\]/.test(path)) throw invalidArgument(`snapshot root ${path} holds one of , : \\`);
  const paths = new SnapshotPaths(root);
  await paths.open();
  const layers = new LayerMounts(mounts, (id) => paths.layer(id));
  await layers.open();
  const mapped = new MappedMounts(mounts);
  await mapped.open();
  const support = await probeLayers(mode, root, mounts);
  layers.attachment = support.attachment;
  const owners = await findOwners(slowChown, root, mounts);
  return new OverlayDriver(options, { paths, layers, mapped, support, owners });
}

/** What was opened for a driver, and found out. */
interface Found {
  readonly paths: SnapshotPaths;
  readonly layers: LayerMounts;
  readonly mapped: MappedMounts;
  readonly support: LayerSupport;
  readonly owners: Owners;
}

class OverlayDriver implements SnapshotDriver, AsyncDisposable {
  readonly name = 'overlayfs';
  readonly capabilities: readonly string[];
  readonly root: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly share?: (from: number, to: number) => Promise<boolean>;
  readonly #userXattr: boolean;
  readonly #options: readonly string[];
  readonly labels?: (id: number) => Readonly<Record<string, string>>;
  readonly #quotaBytes: number;
  readonly #paths: SnapshotPaths;
  readonly #bodies: Bodies;
  readonly #stack: LayerStack;
  readonly #claims: LayerClaims;
  readonly #links: LayerLinks;
  readonly #writesLayers: boolean;
  readonly #chowns: boolean;

  constructor(
    {
      root,
      userXattr = false,
      options = [],
      upperdirLabel,
      quotaBytes = 0,
      idleMs = 10_000,
      log = silentLog,
    }: OverlayDriverOptions,
    { paths, layers, mapped, support: { mode, reason }, owners }: Found,
  ) {
    this.root = root;
    this.capabilities = owners === 'as they are' ? ['rebase'] : ['rebase', 'remap-ids'];
    this.#chowns = owners === 'chown';
    this.exports = reason === '' ? { layers: mode } : { layers: mode, layers_reason: reason };
    this.#userXattr = userXattr;
    this.#options = options;
    if (upperdirLabel === true) this.labels = (id) => ({ [upperdirKey]: paths.fs(id) });
    this.#quotaBytes = quotaBytes;
    this.#paths = paths;
    this.#bodies = new Bodies(paths);
    this.#stack = new LayerStack(paths, this.#bodies, { layers, mapped, idleMs, log });
    this.#claims = new LayerClaims(paths, (id) => this.#bodies.set(id, { directory: true, layer: true }));
    this.#links = new LayerLinks(paths, this.#bodies);
    this.#writesLayers = mode !== 'directories';
    if (this.#writesLayers) this.share = (from, to) => this.#share(from, to);
  }

  restore(standing: readonly DriverSnapshot[]): void {
    this.#stack.restore(standing);
  }

  async create(snapshot: DriverSnapshot): Promise<undefined> {
    const { id, kind, parents, labels } = snapshot;
    const asked = idMapsOf(labels);
    if (asked !== undefined && !this.capabilities.includes('remap-ids'))
      throw failedPrecondition(
        'owners of files cannot be mapped here (Linux 5.19, and a file system that can)',
      );
    this.#stack.enter(snapshot);
    await ensureDirectory(this.#paths.directory(id), 0o700);
    if (kind === 'active') limitSnapshot(this.#paths.directory(id), snapshot, this.#quotaBytes);
    if (kind === 'active' || parents.length === 0) await this.#createFs(snapshot);
    if (asked !== undefined && this.#chowns && kind === 'active')
      await withTempMount(await this.mounts(snapshot), (path) => chownTree(path, asked));
  }

  async mounts(snapshot: DriverSnapshot): Promise<Mount[]> {
    const { id, kind, parents } = snapshot;
    const maps = this.#mapsOf(snapshot);
    this.#stack.enter(snapshot);
    const lower = await this.#stack.directories(parents, maps);
    const own = kind === 'active' ? this.#bodies.of(id) : undefined;
    if (own?.layer) lower.unshift(...(await this.#stack.layer(id, maps)));
    // A commit that failed at its record has left the layer file alone.
    if (own?.directory === false) await this.#createFs(snapshot);
    const [fs, work] = [this.#paths.fs(id), this.#paths.work(id)];
    return overlayMounts({ kind, fs, work, lower, userXattr: this.#userXattr, options: this.#options });
  }

  async commit({ id }: DriverSnapshot): Promise<SnapshotUsage> {
    if (this.#claims.has(id)) throw failedPrecondition(`a layer is still being applied to snapshot ${id}`);
    const partial = this.#paths.partialLayer(id);
    if (existsSync(partial)) await rm(partial, { force: true });
    const commit = this.#bodies.of(id).layer ? commitLayer : commitDirectory;
    const { usage, body } = await commit(this.#paths, id);
    this.#bodies.set(id, body);
    this.#stack.leave(id);
    return usage;
  }

  /** Of what the snapshot itself holds: a view holds nothing. */
  async usage({ id, kind }: DriverSnapshot): Promise<SnapshotUsage> {
    if (kind === 'view') return { sizeBytes: 0, inodes: 0 };
    const { directory, layer } = this.#bodies.of(id);
    const own = directory ? await diskUsage(this.#paths.fs(id)) : { sizeBytes: 0, inodes: 0 };
    if (!layer) return own;
    const { diskBytes, inodes } = await readErofsFile(this.#paths.layer(id));
    return { sizeBytes: own.sizeBytes + diskBytes, inodes: own.inodes + inodes };
  }

  /** A layer file goes by its number on disk. */
  bodyOf(id: number): string | undefined {
    try {
      const { directory, layer } = this.#bodies.of(id);
      return layer && !directory ? `layer ${statSync(this.#paths.layer(id)).ino}` : undefined;
    } catch {
      return undefined;
    }
  }

  async verify(id: number, signal: AbortSignal): Promise<void> {
    if (this.#bodies.of(id).layer) await verifyLayerFile(this.#paths.layer(id), signal);
  }

  async rebuild({ id, parents, labels }: DriverSnapshot): Promise<RebuildTarget> {
    const stands = existsSync(this.#paths.fs(id));
    if (!this.#writesLayers || stands !== existsSync(this.#paths.layered(id)))
      throw failedPrecondition('only layer files can be made again');
    await ensureDirectory(this.#paths.directory(id), 0o700);
    await using stack = new AsyncDisposableStack();
    this.#stack.enter({ id, kind: 'view', parents, labels });
    stack.defer(() => this.#stack.leave(id));
    const lower = await this.#stack.directories(parents);
    const claim = stack.use(this.#claims.reclaim(id, { lower, lowest: parents.length === 0 }));
    const held = stack.move();
    return {
      ...claim,
      take: (from, signal) => this.#links.link(from, claim.path, { signal }),
      adopt: async () => {
        await syncLayer(this.#paths, id, claim.path);
        await claim.adopt();
        await syncLayer(this.#paths, id);
        this.#bodies.set(id, { directory: stands, layer: true });
        await this.#stack.drop(id);
      },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  async remove(id: number): Promise<void> {
    this.#stack.leave(id);
    this.#bodies.forget(id);
    await this.#stack.drop(id);
    forgetLimit(this.#paths.directory(id));
    await this.#paths.remove(id);
  }

  list(): Promise<number[]> {
    return this.#paths.ids();
  }

  async cleanup(known: ReadonlySet<number>): Promise<number[]> {
    const unknown = (await this.#paths.ids()).filter((id) => !known.has(id));
    for (const id of unknown) await this.remove(id);
    await this.#stack.dropUnknown(known);
    await this.#paths.emptyTrash();
    return unknown;
  }

  async applyTarget(mounts: readonly Mount[]): Promise<ApplyTarget | undefined> {
    const directory = writtenDirectory(mounts);
    const id = directory === undefined ? undefined : this.#paths.idOfFs(directory);
    const snapshot = id === undefined ? undefined : this.#stack.find(id);
    if (snapshot?.kind !== 'active') return undefined;
    if (this.#bodies.of(snapshot.id).layer) return asFiles(await this.mounts(snapshot));
    if (!this.#writesLayers) return asFiles(mounts);
    const lower = await this.#stack.directories(snapshot.parents);
    const layer = await this.#claims.claim(snapshot.id, { lower, lowest: mounts[0]?.type !== 'overlay' });
    if (layer === undefined) return asFiles(mounts);
    return { mounts, layer, [Symbol.asyncDispose]: () => layer[Symbol.asyncDispose]() };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }

  /** By a second name of the layer file, so that the last who has it takes it away. */
  async #share(from: number, to: number): Promise<boolean> {
    await using claim = await this.#claims.claim(to, { lower: [], lowest: false });
    if (claim === undefined || !(await this.#links.link(from, claim.path))) return false;
    await claim.adopt();
    return true;
  }

  /** What mounts have to map. */
  #mapsOf({ labels }: DriverSnapshot): IdMaps | undefined {
    return this.#chowns ? undefined : idMapsOf(labels);
  }

  /** The root directory of a mounted snapshot is its own `fs`, so that takes owner and mode from what is beneath. */
  async #createFs(snapshot: DriverSnapshot): Promise<void> {
    const { id, kind, parents } = snapshot;
    const maps = this.#mapsOf(snapshot);
    const [beneath] = await this.#stack.directories(parents.slice(0, 1), maps);
    await ensureDirectoryLike(this.#paths.fs(id), beneath);
    if (beneath === undefined && maps) await chown(this.#paths.fs(id), ...rootOf(maps));
    if (kind === 'active') await ensureDirectory(this.#paths.work(id), 0o711);
    this.#bodies.forget(id);
  }
}

const asFiles = (mounts: readonly Mount[]): ApplyTarget => ({
  mounts,
  [Symbol.asyncDispose]: async () => {},
});
