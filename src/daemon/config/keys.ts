import type { GcConfig } from '../../metadata/gc-scheduler.ts';
import type { ShimTimeouts } from '../../runtime/foreign/shim-timeouts.ts';
import { layerModes } from '../../snapshots/layer-mode.ts';
import type { Config } from './config.ts';
import {
  absolutePath,
  binary,
  boolean,
  type Check,
  criRuntimes,
  durationMs,
  environment,
  fraction,
  hostAndPort,
  integer,
  listenAddress,
  logLevel,
  names,
  oneOf,
  optionalPath,
  overlayOptions,
  pathList,
  pathsByName,
  pluginUris,
  proxyPlugins,
  unpackConfigs,
} from './values.ts';

/** A key of a file of the latest version: a check of its value and the setting it becomes. */
export interface Key {
  readonly path: readonly string[];
  readonly check: Check<unknown>;
  readonly apply: (config: Config, value: never) => Config;
  /** Its value in a file. */
  readonly valueOf: (config: Config) => unknown;
  /** A second name of a setting: read, never written. */
  readonly isAlias?: true;
  /** Whether a running daemon takes a new value over. */
  readonly isLive: boolean;
}

type Settings = { [K in Exclude<keyof Config, 'gc' | 'shimTimeouts'>]: K };
type Toml<T> = (value: T) => unknown;

interface KeyOptions<T> {
  readonly live?: boolean;
  /** The value as a file has it; what is not there is as the Config has it. */
  readonly toml?: Toml<T>;
}

const split = (name: string): string[] => name.split('/');

function key<K extends keyof Settings>(
  name: string,
  field: K,
  check: Check<Config[K]>,
  { live = false, toml = (value) => value }: KeyOptions<Config[K]> = {},
): Key {
  return {
    path: split(name),
    check,
    apply: (config, value: Config[K]) => ({ ...config, [field]: value }),
    valueOf: (config) => toml(config[field]),
    isLive: live,
  };
}

function gcKey<K extends keyof GcConfig>(
  name: string,
  field: K,
  check: Check<GcConfig[K]>,
  toml: Toml<GcConfig[K]> = (value) => value,
): Key {
  return {
    path: ['plugins', 'io.containerd.gc.v1.scheduler', name],
    check,
    apply: (config, value: GcConfig[K]) => ({ ...config, gc: { ...config.gc, [field]: value } }),
    valueOf: (config) => toml(config.gc[field]),
    isLive: false,
  };
}

function shimTimeout(name: string, field: keyof ShimTimeouts): Key {
  return {
    path: split(name),
    check: durationMs,
    apply: (config, ms: number) => ({ ...config, shimTimeouts: { ...config.shimTimeouts, [field]: ms } }),
    valueOf: ({ shimTimeouts }) => duration(shimTimeouts[field]),
    isLive: false,
  };
}

/** containerd's dumps have '' where nobody said anything. */
const hostsDirs = (name: string): Key => ({
  ...key(name, 'hostsDirs', pathList, { live: true, toml: (dirs) => dirs.join(':') }),
  apply: (config, dirs: readonly string[]) => (dirs.length === 0 ? config : { ...config, hostsDirs: dirs }),
});

const alias = (one: Key): Key => ({ ...one, isAlias: true });

const owner = integer(0, 0xffff_fffe);
const duration: Toml<number> = (ms) => `${ms}ms`;
const server = 'plugins/io.containerd.server.v1.';
const transfer = 'plugins/io.containerd.transfer.v1.local';
const overlayfs = 'plugins/io.containerd.snapshotter.v1.overlayfs';
const criRuntime = 'plugins/io.containerd.cri.v1.runtime/containerd';
const criImages = 'plugins/io.containerd.cri.v1.images';
const downloads = integer(1, 64);
const live = { live: true };
const liveDuration = { live: true, toml: duration };

/** Every key that means something here, in the order of `config default`; of two for one setting the later outweighs. */
export const allKeys: readonly Key[] = [
  key('root', 'root', absolutePath()),
  key('state', 'state', absolutePath()),
  key('temp', 'tempDir', optionalPath()),
  key('oom_score', 'oomScore', integer(-1000, 1000), live),
  key('disabled_plugins', 'disabledPlugins', pluginUris),
  key('required_plugins', 'requiredPlugins', pluginUris),
  key('debug/level', 'logLevel', logLevel, live),
  key('debug/format', 'logFormat', (value) => (value === '' ? 'text' : oneOf('text', 'json')(value))),
  key('debug/log_trace_id', 'logTraceId', boolean, live),
  key('cgroup/path', 'cgroupPath', (value) => (value === '' ? '' : absolutePath()(value))),
  key('berth/oci_runtime', 'ociRuntime', binary),
  key('berth/runtimes', 'runtimes', pathsByName),
  key('berth/stall_timeout', 'stallTimeoutMs', durationMs, { toml: duration }),
  key('berth/partial_downloads_bytes', 'partialDownloadsBytes', integer(0, Number.MAX_SAFE_INTEGER), live),
  key('berth/partial_downloads_age', 'partialDownloadsAgeMs', durationMs, liveDuration),
  key('berth/events_count', 'eventsCount', integer(256, 10_000_000)),
  key('berth/events_bytes', 'eventsBytes', integer(1024 * 1024, Number.MAX_SAFE_INTEGER)),
  key('berth/events_age', 'eventsAgeMs', durationMs, { toml: duration }),
  key('berth/reconcile_interval', 'reconcileIntervalMs', durationMs, liveDuration),
  shimTimeout('berth/shim_start_timeout', 'startMs'),
  key('berth/proxy_timeout', 'proxyTimeoutMs', durationMs, { toml: duration }),
  shimTimeout('timeouts/io.containerd.timeout.shim.load', 'loadMs'),
  shimTimeout('timeouts/io.containerd.timeout.shim.shutdown', 'shutdownMs'),
  shimTimeout('timeouts/io.containerd.timeout.shim.cleanup', 'cleanupMs'),
  shimTimeout('timeouts/io.containerd.timeout.task.state', 'stateMs'),
  key('timeouts/io.containerd.timeout.metrics.shimstats', 'statsTimeoutMs', durationMs, liveDuration),
  key('proxy_plugins', 'proxyPlugins', proxyPlugins),
  key('plugins/io.containerd.service.v1.diff-service/default', 'differs', names),
  gcKey('pause_threshold', 'pauseThreshold', fraction(0, 0.5)),
  gcKey('deletion_threshold', 'deletionThreshold', integer(0, 1e9)),
  gcKey('mutation_threshold', 'mutationThreshold', integer(0, 1e9)),
  gcKey('schedule_delay', 'scheduleDelayMs', durationMs, duration),
  gcKey('startup_delay', 'startupDelayMs', durationMs, duration),
  key('plugins/io.containerd.internal.v1.opt/path', 'optPath', optionalPath()),
  key(
    'plugins/io.containerd.metadata.v1.bolt/content_sharing_policy',
    'contentSharing',
    oneOf('shared', 'isolated'),
  ),
  key('plugins/io.containerd.metrics.v1.grpc-prometheus/grpc_histogram', 'grpcHistogram', boolean, live),
  key(`${server}grpc/address`, 'address', absolutePath(107)),
  key(`${server}grpc/uid`, 'uid', owner, live),
  key(`${server}grpc/gid`, 'gid', owner, live),
  key(`${server}ttrpc/address`, 'ttrpcAddress', optionalPath(107)),
  key(`${server}ttrpc/uid`, 'ttrpcUid', owner, live),
  key(`${server}ttrpc/gid`, 'ttrpcGid', owner, live),
  key(`${server}debug/address`, 'debugAddress', listenAddress, live),
  key(`${server}debug/uid`, 'debugUid', owner, live),
  key(`${server}debug/gid`, 'debugGid', owner, live),
  key(`${server}metrics/address`, 'metricsAddress', hostAndPort, live),
  key(
    'plugins/io.containerd.monitor.container.v1.restart/interval',
    'restartIntervalMs',
    durationMs,
    liveDuration,
  ),
  key('plugins/io.containerd.shim.v1.manager/env', 'shimEnv', environment),
  key(`${overlayfs}/layers`, 'layerMode', oneOf(...layerModes)),
  key(`${overlayfs}/slow_chown`, 'slowChown', boolean),
  key(`${overlayfs}/root_path`, 'overlayRoot', optionalPath()),
  key(`${overlayfs}/mount_options`, 'overlayOptions', overlayOptions),
  key(`${overlayfs}/upperdir_label`, 'upperdirLabel', boolean),
  key('plugins/io.containerd.snapshotter.v1.native/root_path', 'nativeRoot', optionalPath()),
  key(`${overlayfs}/quota_bytes`, 'quotaBytes', integer(0, Number.MAX_SAFE_INTEGER)),
  alias(hostsDirs(`${criImages}/registry/config_path`)),
  hostsDirs(`${transfer}/config_path`),
  alias(key(`${criImages}/max_concurrent_downloads`, 'maxConcurrentDownloads', downloads, live)),
  key(`${transfer}/max_concurrent_downloads`, 'maxConcurrentDownloads', downloads, live),
  key(`${transfer}/max_concurrent_unpacks`, 'maxConcurrentUnpacks', integer(0, 256)),
  key(`${transfer}/unpack_config`, 'unpacks', unpackConfigs),
  key(`${criRuntime}/default_runtime_name`, 'criDefaultRuntime', (value) =>
    typeof value === 'string' && value !== '' ? value : oneOf('runc')(value),
  ),
  {
    ...key(`${criRuntime}/runtimes`, 'criRuntimes', criRuntimes),
    apply: (config, more: Config['criRuntimes']) => ({
      ...config,
      criRuntimes: { ...config.criRuntimes, ...more },
    }),
  },
];

/** One for each setting: what a file that Berth writes has. */
export const keys = allKeys.filter(({ isAlias }) => !isAlias);
