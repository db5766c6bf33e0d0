import { failedPrecondition } from '../errors/error.ts';
import { hostPlatform } from '../oci/platform.ts';
import type { ServiceBinding } from '../rpc/service.ts';
import { Streams } from '../rpc/streams.ts';
import { berthCheckpointsService } from '../services/berth-checkpoints.ts';
import { berthConfigurationService } from '../services/berth-configuration.ts';
import { berthContainersService } from '../services/berth-containers.ts';
import { berthEventsService } from '../services/berth-events.ts';
import { berthImagesService } from '../services/berth-images.ts';
import { berthRegistriesService } from '../services/berth-registries.ts';
import { berthTransfersService } from '../services/berth-transfers.ts';
import { containersService } from '../services/containers.ts';
import { contentService } from '../services/content.ts';
import { diffService } from '../services/diff.ts';
import { eventsService } from '../services/events.ts';
import { healthService } from '../services/health.ts';
import { imagesService } from '../services/images.ts';
import {
  type IntrospectionSource,
  introspectionService,
  type PluginInfo,
} from '../services/introspection.ts';
import { leasesService } from '../services/leases.ts';
import { mountsService } from '../services/mounts.ts';
import { namespacesService } from '../services/namespaces.ts';
import { pluginTable } from '../services/plugins.ts';
import { runtimeInfo } from '../services/runtime-info.ts';
import { sandboxControllersService } from '../services/sandbox-controllers.ts';
import { sandboxesService } from '../services/sandboxes.ts';
import { snapshotsService } from '../services/snapshots.ts';
import { storageService } from '../services/storage.ts';
import { streamingService } from '../services/streaming.ts';
import { tasksService } from '../services/tasks.ts';
import { transferService } from '../services/transfer.ts';
import { versionService } from '../services/version.ts';
import { checkpointContainer } from '../transfer/checkpoint/checkpoint-image.ts';
import { readCheckpoint } from '../transfer/checkpoint/read-checkpoint.ts';
import { commit } from '../transfer/commit/commit.ts';
import { type Differ, orderedDiffer, walkingDiffer } from '../transfer/differ.ts';
import { apiVersion } from './api-version.ts';
import type { Graph } from './compose.ts';
import type { Config } from './config/config.ts';
import { optDirectory } from './config/derived.ts';
import { chosenPlugins, chosenServices, pluginTypes } from './plugin-choice.ts';
import type { RunningConfig } from './running-config.ts';

/** Every service on the socket. */
export function serviceBindings(
  graph: Graph,
  config: RunningConfig,
  version: string,
  draining: AbortSignal,
): ServiceBinding[] {
  const { metadata, events, transfers, containers, tasks, storage, checkpoints } = graph;
  const streams = new Streams();
  const all = [
    versionService(apiVersion, `berth-${version}`),
    introspectionService(introspectionOf(graph, config, version)),
    namespacesService(metadata.namespaces),
    contentService(metadata.content),
    imagesService(metadata.images),
    snapshotsService(metadata.snapshotters),
    diffService(differOf(graph, config.current)),
    containersService(metadata.containers),
    tasksService(tasks, metadata.containers, checkpoints),
    eventsService(events),
    berthEventsService(metadata.journal),
    leasesService(metadata.leases),
    mountsService(metadata.mounts),
    sandboxesService(metadata.sandboxes),
    sandboxControllersService(new Map([['shim', tasks.sandboxes], ...graph.proxies.sandboxers])),
    streamingService(streams),
    transferService(transfers, streams, { containers: metadata.containers, tasks }),
    berthContainersService(containers, tasks),
    berthCheckpointsService(
      {
        create: (ctx, request) =>
          checkpointContainer(
            transfers,
            { containers: metadata.containers, tasks, files: checkpoints },
            ctx,
            request,
          ),
        read: (ctx, name) => readCheckpoint(transfers, ctx, name),
      },
      containers,
    ),
    berthRegistriesService(transfers, streams),
    storageService(storage),
    berthTransfersService(transfers.running),
    berthConfigurationService(config),
    berthImagesService((ctx, request) =>
      commit(transfers, { containers: metadata.containers, tasks }, ctx, request),
    ),
  ];
  const served = chosenServices(all, config.current);
  const health = healthService(
    served.map(({ desc }) => desc.typeName),
    draining,
  );
  return [...served, health];
}

function introspectionOf(
  { layout, uuid, drivers, tasks }: Graph,
  config: RunningConfig,
  version: string,
): IntrospectionSource {
  const all = pluginTable({
    platform: hostPlatform(),
    root: layout.root,
    state: layout.state,
    snapshotters: drivers,
    optPath: optDirectory(config.current),
    servers: serversOf(config.current),
    contentSharing: config.current.contentSharing,
    gc: gcExports(config.current),
    proxies: proxyPluginsOf(config.current),
  });
  const table = chosenPlugins(all, config.current);
  const extra = runtimeInfo(tasks, apiVersion, `berth-${version}`);
  return { uuid, plugins: () => table, deprecations: () => config.deprecations, extra };
}

/** Differs in the configured order. @throws failed_precondition (one that there is not) */
function differOf(
  { metadata: { content }, transfers: { applyTarget }, proxies }: Graph,
  { differs }: Config,
): Differ {
  const all = new Map([['walking', walkingDiffer({ content, applyTarget })], ...proxies.differs]);
  const chosen = differs.map((name) => {
    const found = all.get(name);
    if (found === undefined)
      throw failedPrecondition(`differ ${name} is neither walking nor a proxy plug-in of type diff`);
    return found;
  });
  return orderedDiffer(chosen);
}

/** In Go's words for durations. */
const gcExports = ({ gc }: Config): Record<string, string> => ({
  ScheduleDelay: `${gc.scheduleDelayMs / 1000}s`,
  PauseThreshold: String(gc.pauseThreshold),
  DeletionThreshold: String(gc.deletionThreshold),
  MutationThreshold: String(gc.mutationThreshold),
});

/** Those that are no snapshotters, which are among the drivers. */
function proxyPluginsOf({ proxyPlugins }: Config): PluginInfo[] {
  return Object.entries(proxyPlugins)
    .filter(([, { type }]) => type !== 'snapshot')
    .map(([id, { type, capabilities, exports }]) => ({
      type: pluginTypes[type],
      id,
      platforms: type === 'diff' ? [hostPlatform()] : [],
      capabilities,
      exports,
    }));
}

/** Sockets that are served beside gRPC and ttrpc. */
const serversOf = ({ debugAddress, metricsAddress }: Config): string[] => [
  ...(debugAddress === '' ? [] : ['debug']),
  ...(metricsAddress === '' ? [] : ['metrics']),
];
