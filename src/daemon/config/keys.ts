import type { GcConfig } from '../../metadata/gc-scheduler.ts';
import { layerModes } from '../../snapshots/layer-mode.ts';
import type { Config } from './config.ts';
import {
  absolutePath,
  binary,
  boolean,
  type Check,
  durationMs,
  fraction,
  hostAndPort,
  integer,
  logLevel,
  oneOf,
  pathList,
  pathsByName,
  proxyPlugins,
} from './values.ts';

/** What a key of a file means: a check of its value and the setting it becomes. */
export interface Key {
  readonly check: Check<unknown>;
  readonly apply: (config: Config, value: never) => Config;
}

type Settings = { [K in Exclude<keyof Config, 'gc'>]: K };

function key<K extends keyof Settings>(name: K, check: Check<Config[K]>): Key {
  return { check, apply: (config, value: Config[K]) => ({ ...config, [name]: value }) };
}

function gcKey<K extends keyof GcConfig>(name: K, check: Check<GcConfig[K]>): Key {
  return {
    check,
    apply: (config, value: GcConfig[K]) => ({ ...config, gc: { ...config.gc, [name]: value } }),
  };
}

const hostsDirs = key('hostsDirs', pathList);
const downloads = key('maxConcurrentDownloads', integer(1, 64));
const runtime = key('ociRuntime', binary);
const restartInterval = key('restartIntervalMs', durationMs);

/** Keys of every version, by dotted path. */
const common: Readonly<Record<string, Key>> = {
  root: key('root', absolutePath()),
  state: key('state', absolutePath()),
  'grpc.address': key('address', absolutePath(107)),
  'grpc.uid': key('uid', integer(0, 0xffff_fffe)),
  'grpc.gid': key('gid', integer(0, 0xffff_fffe)),
  'metrics.address': key('metricsAddress', hostAndPort),
  'debug.level': key('logLevel', logLevel),
  'debug.format': key('logFormat', oneOf('text', 'json')),
  'plugins.io.containerd.gc.v1.scheduler.pause_threshold': gcKey('pauseThreshold', fraction(0, 0.5)),
  'plugins.io.containerd.gc.v1.scheduler.deletion_threshold': gcKey('deletionThreshold', integer(0, 1e9)),
  'plugins.io.containerd.gc.v1.scheduler.mutation_threshold': gcKey('mutationThreshold', integer(0, 1e9)),
  'plugins.io.containerd.gc.v1.scheduler.schedule_delay': gcKey('scheduleDelayMs', durationMs),
  'plugins.io.containerd.gc.v1.scheduler.startup_delay': gcKey('startupDelayMs', durationMs),
  'plugins.io.containerd.metadata.v1.bolt.content_sharing_policy': key(
    'contentSharing',
    oneOf('shared', 'isolated'),
  ),
  'plugins.io.containerd.transfer.v1.local.config_path': hostsDirs,
  'plugins.io.containerd.transfer.v1.local.max_concurrent_downloads': downloads,
  'plugins.io.containerd.transfer.v1.local.max_concurrent_unpacks': key(
    'maxConcurrentUnpacks',
    integer(0, 256),
  ),
  'plugins.io.containerd.snapshotter.v1.overlayfs.layers': key('layerMode', oneOf(...layerModes)),
  'plugins.io.containerd.snapshotter.v1.overlayfs.slow_chown': key('slowChown', boolean),
  proxy_plugins: key('proxySnapshotters', proxyPlugins),
  'plugins.io.containerd.monitor.container.v1.restart.interval': restartInterval,
  'berth.oci_runtime': runtime,
  'berth.runtimes': key('runtimes', pathsByName),
  'berth.stall_timeout': key('stallTimeoutMs', durationMs),
  'berth.partial_downloads_bytes': key('partialDownloadsBytes', integer(0, Number.MAX_SAFE_INTEGER)),
  'berth.partial_downloads_age': key('partialDownloadsAgeMs', durationMs),
  'berth.reconcile_interval': key('reconcileIntervalMs', durationMs),
  'berth.shim_start_timeout': key('shimStartTimeoutMs', durationMs),
};

/** Keys by version of the file: 2 and 3 name the CRI's settings differently. */
export const keysByVersion: Readonly<Record<2 | 3, Readonly<Record<string, Key>>>> = {
  2: {
    ...common,
    'plugins.io.containerd.internal.v1.restart.interval': restartInterval,
    'plugins.io.containerd.grpc.v1.cri.registry.config_path': hostsDirs,
    'plugins.io.containerd.grpc.v1.cri.max_concurrent_downloads': downloads,
    'plugins.io.containerd.grpc.v1.cri.containerd.runtimes.runc.options.BinaryName': runtime,
  },
  3: {
    ...common,
    'plugins.io.containerd.cri.v1.images.registry.config_path': hostsDirs,
    'plugins.io.containerd.cri.v1.images.max_concurrent_downloads': downloads,
    'plugins.io.containerd.cri.v1.runtime.containerd.runtimes.runc.options.BinaryName': runtime,
  },
};
