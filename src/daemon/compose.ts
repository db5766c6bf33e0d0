import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context, Log } from '../async/context.ts';
import { LocalContainers } from '../containers/local-containers.ts';
import { openLocalBlobs } from '../content/local/local-blobs.ts';
import type { Events } from '../events/events.ts';
import { EventExchange } from '../events/exchange.ts';
import { type Metadata, openMetadata } from '../metadata/metadata.ts';
import type { Activations } from '../mounts/activations.ts';
import { LocalMounts } from '../mounts/local-mounts.ts';
import { hostPlatform } from '../oci/platform.ts';
import { Bundles } from '../runtime/bundle.ts';
import { runProgram } from '../runtime/foreign/run-program.ts';
import { Tasks } from '../runtime/tasks.ts';
import { applyTargets } from '../snapshots/apply-target.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import { openNativeDriver } from '../snapshots/native/driver.ts';
import { openOverlayDriver } from '../snapshots/overlayfs/driver.ts';
import { LocalStorage } from '../storage/local-storage.ts';
import type { Storage } from '../storage/storage.ts';
import { applyHere } from '../transfer/apply-here.ts';
import { CheckpointFiles } from '../transfer/checkpoint/checkpoint-files.ts';
import { type TransferParts, transferParts } from '../transfer/parts.ts';
import { rebuildLayer } from '../transfer/rebuild-layer.ts';
import { refetch } from '../transfer/refetch.ts';
import { ensureUnpacked } from '../transfer/unpack.ts';
import type { Config } from './config/config.ts';
import { defaultOciRuntime, shimPrograms } from './config/derived.ts';
import type { Layout } from './directories.ts';
import { isEnabled } from './plugin-choice.ts';
import type { Proxies } from './proxies.ts';
import { shimEnvironment } from './shim-environment.ts';
import { unpackersOf } from './unpackers.ts';
import { readOrMakeUuid } from './uuid.ts';

/** Everything the services are made of. Disposing finishes what is being written; containers go on. */
export interface Graph extends AsyncDisposable {
  readonly layout: Layout;
  readonly uuid: string;
  readonly log: Log;
  readonly events: Events;
  readonly drivers: readonly SnapshotDriver[];
  readonly metadata: Metadata;
  readonly transfers: TransferParts;
  readonly tasks: Tasks;
  readonly containers: LocalContainers;
  readonly storage: Storage;
  readonly checkpoints: CheckpointFiles;
  readonly proxies: Proxies;
}

/**
 * Builds the graph of everything: the only place that knows which implementation stands behind a contract.
 * `current` answers with the configuration of the moment. @throws what opening the stores throws; nothing is left open then
 */
export async function compose(
  current: () => Config,
  layout: Layout,
  version: string,
  log: Log,
  collected: (tookMs: number | undefined) => void,
): Promise<Graph> {
  await using opened = new AsyncDisposableStack();
  const config = current();
  const events = new EventExchange();
  if (await new Bundles(layout.state).any()) events.expectReturns();
  const proxies = opened.use(await proxiesOf(config, log));
  const all = [
    opened.use(await openOverlay(config, layout, log)),
    await openNativeDriver(config.nativeRoot || join(layout.snapshots, 'native')),
    ...proxies.snapshotters,
  ];
  const drivers = all.filter(({ name }) => isEnabled(config, 'io.containerd.snapshotter.v1', name));
  const mounts = await openMounts(config, layout, log);
  const blobs = proxies.blobs ?? (await openLocalBlobs(layout.content));
  const metadata = opened.use(
    await openMetadata({
      path: layout.database,
      blobs,
      drivers,
      mounts,
      events,
      log,
      gc: config.gc,
      collected,
      sharing: config.contentSharing,
      eventsKept: { count: config.eventsCount, bytes: config.eventsBytes, ageMs: config.eventsAgeMs },
    }),
  );
  // Asked when there is no room, long after everything is open.
  const freeable = async (ctx: Context) => (await storage.prune(ctx, { all: true, dryRun: true })).freedBytes;
  events.recordIn(metadata.journal);
  const transfers = opened.use(openTransfers(current, layout, metadata, drivers, proxies, freeable));
  const tasks = opened.use(openTasks(config, layout, version, metadata.mounts, events, log));
  const containers = openContainers(layout, metadata, transfers, events, tasks);
  const storage: Storage = new LocalStorage({
    root: layout.root,
    metadata,
    containers,
    tasks,
    fetch: (ctx, repository, descriptor) => refetch(transfers, ctx, repository, descriptor),
    rebuildLayer,
  });
  const checkpoints = new CheckpointFiles(layout.checkpoints, metadata.content);
  await checkpoints.sweep((namespace, id) => tasks.hasBundle(namespace, id));
  const owned = opened.move();
  return {
    layout,
    uuid: readOrMakeUuid(layout.uuid),
    log,
    events,
    drivers,
    metadata,
    transfers,
    tasks,
    containers,
    storage,
    checkpoints,
    proxies,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What talks to them is loaded only where there are some: gRPC's client alone takes 3 MB. */
async function proxiesOf(config: Config, log: Log): Promise<Proxies> {
  if (Object.keys(config.proxyPlugins).length > 0)
    return (await import('./proxies.ts')).openProxies(config, log);
  return {
    snapshotters: [],
    blobs: undefined,
    differs: new Map(),
    sandboxers: new Map(),
    [Symbol.dispose]() {},
  };
}

const remoteSnapshotters = ({ proxyPlugins }: Config): Set<string> =>
  new Set(
    Object.entries(proxyPlugins)
      .filter(
        ([, { type, exports }]) =>
          type === 'snapshot' && exports.enable_remote_snapshot_annotations === 'true',
      )
      .map(([name]) => name),
  );

const openOverlay = (config: Config, { snapshots, layers }: Layout, log: Log) =>
  openOverlayDriver({
    root: config.overlayRoot || join(snapshots, 'overlayfs'),
    layers,
    mode: config.layerMode,
    slowChown: config.slowChown ? 'fallback' : 'never',
    options: config.overlayOptions,
    upperdirLabel: config.upperdirLabel,
    quotaBytes: config.quotaBytes,
    log,
  });

/** Programs that make file systems get as long as a large disk may take. */
const formatTimeoutMs = 10 * 60_000;

async function openMounts(
  config: Config,
  { root, mounts: directory }: Layout,
  log: Log,
): Promise<LocalMounts> {
  const env = shimEnvironment(config);
  const format = async (file: string, args: readonly string[]): Promise<void> => {
    const name = `${file} failed`;
    await runProgram({
      file,
      name,
      args,
      cwd: '/',
      env,
      input: new Uint8Array(),
      timeoutMs: formatTimeoutMs,
    });
  };
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const mounts = new LocalMounts({ directory, roots: [root], format, bootId, log });
  await mounts.open();
  return mounts;
}

function openTransfers(
  current: () => Config,
  layout: Layout,
  metadata: Metadata,
  drivers: readonly SnapshotDriver[],
  { differs }: Proxies,
  freeable: (ctx: Context) => Promise<number>,
): TransferParts {
  const { content, images, leases, snapshotters } = metadata;
  const { maxConcurrentDownloads, maxConcurrentUnpacks, contentSharing, stallTimeoutMs: stallMs } = current();
  return transferParts({
    content,
    images,
    leases,
    snapshotters,
    applyTarget: applyTargets(drivers),
    defaultSnapshotter: 'overlayfs',
    remoteSnapshotters: remoteSnapshotters(current()),
    platform: hostPlatform(),
    hostsDirs: () => current().hostsDirs,
    differFor: unpackersOf(current(), differs),
    contentRoot: layout.content,
    freeable,
    stallMs,
    isolated: contentSharing === 'isolated',
    maxDownloads: maxConcurrentDownloads,
    maxUnpacks: maxConcurrentUnpacks || availableParallelism(),
  });
}

function openTasks(
  config: Config,
  { state }: Layout,
  version: string,
  mounts: Activations,
  events: Events,
  log: Log,
): Tasks {
  const { logLevel, address } = config;
  const debug = logLevel === 'debug' || logLevel === 'trace';
  const [publishBinary = '', logProgram = ''] = ['berthd', 'berth-log'].map((name) =>
    fileURLToPath(new URL(`../../bin/${name}`, import.meta.url)),
  );
  const daemon = { address, publishBinary, logProgram, version, timeouts: config.shimTimeouts };
  return new Tasks({
    stateDir: state,
    shimVersion: version,
    environment: shimEnvironment(config),
    debug,
    ociRuntime: defaultOciRuntime(config),
    runtimes: shimPrograms(config),
    daemon,
    mounts,
    events,
    log,
  });
}

function openContainers(
  layout: Layout,
  metadata: Metadata,
  transfers: TransferParts,
  events: Events,
  tasks: Tasks,
): LocalContainers {
  return new LocalContainers({
    ...metadata,
    events,
    tasks,
    unpacker: {
      ensureUnpacked: (ctx, image, snapshotter) => ensureUnpacked(transfers, ctx, image.target, snapshotter),
      apply: (ctx, layer, mounts) => applyHere(transfers, ctx, layer, mounts),
    },
    fifoRoot: layout.fifos,
    logRoot: layout.logs,
  });
}
