import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../async/context.ts';
import { keepHouse } from '../containers/housekeeping.ts';
import { LocalContainers } from '../containers/local-containers.ts';
import type { TaskControl, Unpacker } from '../containers/task-control.ts';
import { openLocalBlobs } from '../content/local/local-blobs.ts';
import type { Events } from '../events/events.ts';
import { EventExchange } from '../events/exchange.ts';
import { type Metadata, openMetadata } from '../metadata/metadata.ts';
import { hostPlatform } from '../oci/platform.ts';
import { GrpcServer } from '../rpc/grpc-server.ts';
import { listenUnix } from '../rpc/unix-listener.ts';
import { Tasks } from '../runtime/tasks.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import { openOverlayDriver } from '../snapshots/overlayfs/driver.ts';
import { type TransferParts, transferParts } from '../transfer/parts.ts';
import { ensureUnpacked } from '../transfer/unpack.ts';
import type { Config } from './config/config.ts';
import { firstDirectory, type Layout } from './directories.ts';
import type { Graph } from './graph.ts';
import { peerOf } from './peer.ts';
import { serviceBindings } from './services.ts';
import { shimEnvironment } from './shim-environment.ts';
import { readOrMakeUuid } from './uuid.ts';

/** The daemon as its process sees it. */
export interface Daemon {
  /** Opens the socket: everything is ready when it answers. */
  listen(): Promise<void>;
  /** No new calls; running ones get `graceMs` to end; containers go on. */
  close(graceMs: number): Promise<void>;
  /** Takes over the settings that may change while running. */
  reconfigure(config: Config): void;
}

/**
 * Builds the graph of everything: the only place that knows which implementation stands behind a contract.
 * @throws what opening the stores throws; nothing is left open then
 */
export async function compose(config: Config, layout: Layout, version: string, log: Log): Promise<Daemon> {
  await using opened = new AsyncDisposableStack();
  const draining = new AbortController();
  const events = new EventExchange();
  const drivers = [await openOverlayDriver({ root: join(layout.snapshots, 'overlayfs') })];
  const metadata = opened.use(await openStores(config, layout, drivers, events, log));
  const transfers = opened.use(openTransfers(config, layout, metadata));
  const tasks = opened.use(
    new Tasks({
      stateDir: layout.state,
      environment: shimEnvironment(),
      debug: config.logLevel === 'debug',
      events,
      log,
    }),
  );
  const containers = openContainers(layout, metadata, transfers, events, tasks);
  const graph: Graph = {
    layout,
    version,
    uuid: readOrMakeUuid(layout.uuid),
    log,
    events,
    drivers,
    metadata,
    transfers,
    containers,
    tasks,
    draining: draining.signal,
  };
  const server = new GrpcServer(serviceBindings(graph), { log, peerOf });
  const owned = opened.move();
  return {
    async listen() {
      const { uid, gid } = config;
      owned.use(
        await listenUnix(config.address, (socket) => server.accept(socket), { mode: 0o660, uid, gid }),
      );
      metadata.gc.start();
      void keepHouse(
        {
          containers: metadata.containers,
          namespaces: metadata.namespaces,
          tasks,
          events,
          verbs: containers,
          log,
        },
        draining.signal,
      );
    },
    async close(graceMs) {
      draining.abort();
      await server.close(graceMs);
      await owned.disposeAsync();
    },
    reconfigure(_next) {},
  };
}

async function openStores(
  config: Config,
  layout: Layout,
  drivers: readonly SnapshotDriver[],
  events: Events,
  log: Log,
): Promise<Metadata> {
  const blobs = await openLocalBlobs(layout.content);
  return openMetadata({ path: layout.database, blobs, drivers, events, log, gc: config.gc });
}

function openTransfers(
  config: Config,
  layout: Layout,
  { content, images, leases, snapshotters }: Metadata,
): TransferParts {
  return transferParts({
    content,
    images,
    leases,
    snapshotters,
    defaultSnapshotter: 'overlayfs',
    platform: hostPlatform(),
    hostsDir: firstDirectory(config.hostsDirs),
    contentRoot: layout.content,
    maxDownloads: config.maxConcurrentDownloads,
    maxUnpacks: config.maxConcurrentUnpacks || availableParallelism(),
  });
}

function openContainers(
  layout: Layout,
  metadata: Metadata,
  transfers: TransferParts,
  events: Events,
  tasks: TaskControl,
): LocalContainers {
  const unpacker: Unpacker = {
    ensureUnpacked: (ctx, image, snapshotter) => ensureUnpacked(transfers, ctx, image.target, snapshotter),
  };
  return new LocalContainers({
    ...metadata,
    events,
    tasks,
    unpacker,
    fifoRoot: layout.fifos,
    logRoot: layout.logs,
  });
}
